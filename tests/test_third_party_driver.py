"""A plugin from outside: really installed by pip, found, enabled, served, and read from."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.installed import installed
from support.process import Tgtd, run
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client

EXAMPLE = Path(__file__).parent.parent / "contrib" / "example-driver"
TARGET = "iqn.2025-01.org.example:zeroes"
READ_10 = bytes.fromhex("28 00 00000008 00 0002 00")
WRITE_10 = bytes.fromhex("2a 00 00000008 00 0001 00")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which pip has installed the example."""
    return installed(EXAMPLE, tmp_path_factory.mktemp("third-party"))


def test_it_is_found_only_where_it_is_installed(site: dict[str, str]) -> None:
    here = {row["name"] for row in json.loads(run("tgtd", "plugins", "--json").stdout)}
    there = {row["name"]: row for row in json.loads(run("tgtd", "plugins", "--json", env=site).stdout)}
    assert "acme-zero" not in here
    assert there["acme-zero"]["distribution"] == "acme-tgt-zero"
    assert there["acme-zero"]["offers"] == {"store": ["acme-zero"]}


def test_it_is_enabled_served_and_read(site: dict[str, str], tmp_path: Path) -> None:
    config = 'daemon = { socket = "tgtd.sock", state_directory = "state" }\n'
    config += 'transports.iscsi.portals = [{ address = "127.0.0.1:0" }]\n'
    (tmp_path / "c.toml").write_text(config + (EXAMPLE / "zeroes.toml").read_text())
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env=site) as tgtd:
        parts = urlsplit(tgtd.ready["urls"][0])
        assert parts.hostname
        assert parts.port
        client = Client(Address(parts.hostname, parts.port), TARGET, "iqn.2025-01.example:test")
        try:
            client.execute(bytes(6))  # takes the unit attention of power on
            read = client.execute(READ_10, room=1024)
            written = client.execute(WRITE_10, out=bytes(512))
        finally:
            client.close()
        assert (read.status, read.data) == (0, bytes(1024))
        assert (written.status, written.sense[2] & 0x0F) == (2, 7), "without write() the medium is write-protected"
        assert tgtd.stop() == 0, tgtd.log


def test_it_is_as_small_as_the_manual_says() -> None:
    lines = [line for line in (EXAMPLE / "acme_tgt_zero.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 12
