"""The how-to guide on golden images is followed: what it shows is served to two initiators."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.process import Tgtd, run
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client, LoginRefused

from tgtcore.testing.waiting import until

GUIDE = Path(__file__).parent.parent / "docs" / "how-to" / "golden-image.md"
CONFIG = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[0]
TARGET = "iqn.2025-01.org.example:lab"
GOLDEN = b"golden" * 100000
TEST_UNIT_READY, READ, WRITE = bytes(6), b"\x28" + bytes(7) + b"\x08\0", b"\x2a" + bytes(7) + b"\x08\0"
BLOCKS_BYTES = 8 * 512
CONDITION, MEDIUM_CHANGED = 2, b"\x28\0"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.img"
    path.write_bytes(GOLDEN[: len(GOLDEN) // 512 * 512])
    return path


@pytest.fixture(params=["none", "process"])
def lab(request: pytest.FixtureRequest, tmp_path: Path, golden: Path) -> Iterator[Tgtd]:
    private = 'daemon = { socket = "tgtd.sock", state_directory = "state" }\n'
    private += f'transports.iscsi.isolation = "{request.param}"\n'
    private += 'transports.iscsi.portals = [{ address = "127.0.0.1:0" }]\n'
    (tmp_path / "c.toml").write_text(private + CONFIG.replace('"cow"', '"cow", "filters"'))
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path) as tgtd:
        yield tgtd
        assert tgtd.stop() == 0, tgtd.log
    assert golden.read_bytes() == GOLDEN[: len(GOLDEN) // 512 * 512]


def login(lab: Tgtd, who: str) -> Client:
    """A session whose unit attentions are cleared."""
    host, _, port = lab.admin("portal", "list")[0]["address"].rpartition(":")
    client = Client(Address(host, int(port)), TARGET, f"iqn.2025-01.org.example:{who}")
    while client.execute(TEST_UNIT_READY).status == CONDITION:
        continue
    return client


def content(client: Client) -> bytes:
    outcome = client.execute(READ, room=BLOCKS_BYTES)
    if outcome.sense[12:14] == MEDIUM_CHANGED:  # those who log in while a reset ends hear of it too
        outcome = client.execute(READ, room=BLOCKS_BYTES)
    assert outcome.status == 0, outcome
    return outcome.data


def write(client: Client, data: bytes) -> None:
    outcome = client.execute(WRITE, out=data)
    assert outcome.status == 0, outcome


def test_each_has_its_own_disk_on_one_image(lab: Tgtd) -> None:
    alice, bob = login(lab, "alice"), login(lab, "bob")
    write(alice, b"a" * BLOCKS_BYTES)
    assert content(alice) == b"a" * BLOCKS_BYTES
    assert content(bob) == GOLDEN[:BLOCKS_BYTES]
    write(bob, b"b" * BLOCKS_BYTES)
    assert content(alice) == b"a" * BLOCKS_BYTES
    alice.close()
    bob.close()


def test_the_last_logout_resets_a_disk(lab: Tgtd) -> None:
    first = login(lab, "alice")
    write(first, b"a" * BLOCKS_BYTES)
    second = login(lab, "alice")  # the same initiator port: the first session ends, and has not logged out
    first.abort()
    assert content(second) == b"a" * BLOCKS_BYTES
    second.abort()
    until(lambda: not lab.admin("session", "list"))
    third = login(lab, "alice")
    assert content(third) == b"a" * BLOCKS_BYTES, "who was lost may come back"
    third.close()
    until(lambda: lab.admin("filter", "show", "alice", "overlay")["figures"]["resets"] == 1)
    fourth = login(lab, "alice")
    assert content(fourth) == GOLDEN[:BLOCKS_BYTES]
    fourth.close()


def test_a_disk_is_reset_on_command(lab: Tgtd) -> None:
    bob = login(lab, "bob")
    write(bob, b"b" * BLOCKS_BYTES)
    assert lab.admin("filter", "do", "bob", "overlay", "reset")
    assert bob.execute(READ, room=BLOCKS_BYTES).sense[2:14:10] == bytes((6, 0x28)), "the medium may have changed"
    assert content(bob) == GOLDEN[:BLOCKS_BYTES]
    bob.close()


def test_what_was_written_outlives_filters_that_come_and_go(lab: Tgtd) -> None:
    bob = login(lab, "bob")
    write(bob, b"b" * BLOCKS_BYTES)
    lab.admin("filter", "add", "bob", "crash")
    while bob.execute(TEST_UNIT_READY).status == CONDITION:
        continue
    assert content(bob) == b"b" * BLOCKS_BYTES
    lab.admin("filter", "remove", "bob", "crash")
    while bob.execute(TEST_UNIT_READY).status == CONDITION:
        continue
    assert content(bob) == b"b" * BLOCKS_BYTES
    bob.close()


def test_nobody_else_is_admitted(lab: Tgtd) -> None:
    with pytest.raises(LoginRefused):
        login(lab, "mallory")


def test_one_that_would_write_to_the_image_is_refused(tmp_path: Path, golden: Path) -> None:
    writer = '[logical_units.image]\ndevice_type = "disk"\nstore = { type = "file", path = "golden.img" }\n'
    (tmp_path / "c.toml").write_text(CONFIG + writer)
    done = run("tgtd", "--check", "c.toml", cwd=tmp_path)
    assert "golden.img is the store of logical unit" in done.stderr
    assert "one that writes to it must have it alone" in done.stderr
