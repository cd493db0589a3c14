"""Space that runs out beneath a disk, as an initiator sees it: a warning by unit attention, then refused writes."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.process import Tgtd
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client, Outcome

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense

TARGET = "iqn.2025-01.org.example:small"
MIB = 1 << 20
CONFIG = f"""
plugins = ["iscsi", "disk", "file", "cow"]

[daemon]
socket = "tgtd.sock"
state_directory = "state"

[logical_units.small]
device_type = "disk"
soft_threshold = "4M"

[logical_units.small.store]
type = "overlay"
data = "memory"
limit = "8M"
base = {{ type = "file", path = "golden.img" }}

[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]

[targets."{TARGET}"]
transport = "iscsi"
luns = ["small"]
allow = {{ initiators = ["*"] }}
"""
TEST_UNIT_READY = bytes(6)
REACHED = (SenseKey.UNIT_ATTENTION, *asc.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED)
FULL = (SenseKey.DATA_PROTECT, *asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with (tmp_path / "golden.img").open("wb") as file:
        file.truncate(64 * MIB)
    (tmp_path / "c.toml").write_text(CONFIG)
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path) as tgtd:
        parts = urlsplit(tgtd.ready["urls"][0])
        assert parts.hostname
        assert parts.port
        client = Client(Address(parts.hostname, parts.port), TARGET, "iqn.2025-01.org.example:host")
        while client.execute(TEST_UNIT_READY).status:
            continue
        yield client
        client.close()
        assert tgtd.stop() == 0, tgtd.log


def write(client: Client, mib: int) -> Outcome:
    """Write one of the MiB of the disk."""
    cdb = b"\x2a\0" + (mib * MIB // 512).to_bytes(4, "big") + b"\0" + (MIB // 512).to_bytes(2, "big") + b"\0"
    return client.execute(cdb, out=b"x" * MIB)


def code(outcome: Outcome) -> tuple[int, ...]:
    return (0, 0, 0) if not outcome.status else (parse_sense(outcome.sense).key, *parse_sense(outcome.sense).code)


def test_an_initiator_hears_of_it_before_writes_fail(client: Client) -> None:
    for mib in range(5):
        assert code(write(client, mib)) == (0, 0, 0)
    ends_at = time.monotonic() + 20
    while not (warned := client.execute(TEST_UNIT_READY)).status:
        assert time.monotonic() < ends_at
    assert code(warned) == REACHED
    assert parse_sense(warned.sense).information == 16
    resources = client.execute(b"\x4d\0\x4c\0\0\0\0\0\xff\0", room=28)
    assert resources.data[8:12] == (3).to_bytes(4, "big"), "MiB are left"
    assert resources.data[20:24] == (5).to_bytes(4, "big"), "MiB are taken"
    for mib in range(5, 8):
        assert code(write(client, mib)) == (0, 0, 0)
    assert code(write(client, 8)) == FULL
    assert code(write(client, 7)) == (0, 0, 0), "what is there may be written again"
