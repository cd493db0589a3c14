"""A plugin from outside: really installed by pip, found, enabled, served, and read from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.process import Tgtd, run
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client

EXAMPLE = Path(__file__).parent.parent / "contrib" / "example-driver"
TARGET = "iqn.2025-01.example:zeroes"
CONFIG = f"""
plugins = ["iscsi", "disk", "acme-zero"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.zeroes]
device_type = "disk"
store = {{ type = "acme-zero" }}
[targets."{TARGET}"]
transport = "iscsi"
luns = ["zeroes"]
allow = {{ initiators = ["*"] }}
"""
READ_10 = bytes.fromhex("28 00 00000008 00 0002 00")
WRITE_10 = bytes.fromhex("2a 00 00000008 00 0001 00")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which pip has installed the example."""
    folder = tmp_path_factory.mktemp("third-party")
    source = shutil.copytree(EXAMPLE, folder / "source")
    words = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words, "--target", folder / "site", source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder / "site"), os.environ.get("PYTHONPATH")]))}


def test_it_is_found_only_where_it_is_installed(site: dict[str, str]) -> None:
    here = {row["name"] for row in json.loads(run("tgtd", "plugins", "--json").stdout)}
    there = {row["name"]: row for row in json.loads(run("tgtd", "plugins", "--json", env=site).stdout)}
    assert "acme-zero" not in here
    assert there["acme-zero"]["distribution"] == "acme-tgt-zero"
    assert there["acme-zero"]["offers"] == {"store": ["acme-zero"]}


def test_it_is_enabled_served_and_read(site: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
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
