"""Plugins that are loaded, upgraded and unloaded in a running tgtd, with tgtadm, while initiators write and read back."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.process import Tgtd
from support.site import Site, file_store
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client

TARGET = "iqn.2025-01.org.example:hot"
CONFIG = f"""
plugins = ["iscsi", "disk", "file"]
daemon = {{ socket = "tgtd.sock", state_directory = "state" }}
transports.iscsi.portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.a]
device_type = "disk"
store = {{ type = "file", path = "a.img", create = true, size = "8M" }}
[targets."{TARGET}"]
transport = "iscsi"
luns = {{ 0 = "a" }}
allow = {{ initiators = ["*"] }}
"""
BLOCK_BYTES = 4096
BLOCKS = 64
NEW_MICROCODE = (6, 0x3F, 0x01)


class User(threading.Thread):
    """An initiator that writes to blocks of its own, and reads back what it has written.

    :param first: its first block of 4096 bytes.
    """

    def __init__(self, portal: Address, lun: int, first: int) -> None:
        super().__init__(daemon=True)
        self.client = Client(portal, TARGET, f"iqn.2025-01.example:user{lun}.{first}")
        self.lun, self.first = lun, first
        self.content: dict[int, bytes] = {}
        self.news: list[tuple[int, int, int]] = []
        self.rounds = 0
        self.failure: BaseException | None = None
        self.enough = threading.Event()
        self.execute(0x00, 0)
        self.news.clear()

    def execute(self, opcode: int, block: int, data: bytes = b"") -> bytes:
        """Run a READ (10) or WRITE (10) of a block; news come before it."""
        lba = (self.first + block) * BLOCK_BYTES // 512
        cdb = bytes([opcode, 0, *lba.to_bytes(4, "big"), 0, 0, BLOCK_BYTES // 512, 0]) if opcode else bytes(6)
        while True:
            room = 0 if data or not opcode else BLOCK_BYTES
            outcome = self.client.execute(cdb, out=data, room=room, lun=self.lun)
            if outcome.status == 0:
                return outcome.data
            sense = outcome.sense
            assert sense[2:3] == b"\x06", f"status {outcome.status}, sense {sense.hex()}"
            self.news.append((6, sense[12], sense[13]))

    def run(self) -> None:
        try:
            for number in itertools.count():
                block, other = number % BLOCKS, number * 31 % BLOCKS
                data = number.to_bytes(8, "big") * (BLOCK_BYTES // 8)
                self.execute(0x2A, block, data)
                self.content[block] = data
                if other in self.content:
                    assert self.execute(0x28, other) == self.content[other], f"block {other} is not as it was written"
                self.rounds += 1
                if self.enough.is_set():
                    break
            for block, data in self.content.items():
                assert self.execute(0x28, block) == data, f"block {block} is not as it was written at the end"
        except BaseException as failure:
            self.failure = failure

    def end(self) -> None:
        self.enough.set()
        self.join(30)
        assert not self.is_alive()
        if self.failure is not None:
            self.client.abort()
            raise self.failure
        self.client.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    (tmp_path / "b.img").write_bytes(bytes(8 << 20))
    return Site(tmp_path / "site")


@pytest.fixture
def tgtd(tmp_path: Path, site: Site) -> Iterator[Tgtd]:
    (tmp_path / "c.toml").write_text(CONFIG)
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env={"PYTHONPATH": str(site.folder)}) as running:
        yield running
        assert running.stop() == 0, running.log
        assert "Traceback" not in running.log, running.log


@pytest.fixture
def portal(tgtd: Tgtd) -> Address:
    parts = urlsplit(tgtd.ready["urls"][0])
    assert parts.hostname
    assert parts.port
    return Address(parts.hostname, parts.port)


def test_a_store_is_loaded_upgraded_and_unloaded_under_load(tgtd: Tgtd, portal: Address, site: Site) -> None:
    tgtd.admin("plugin", "load", "acme", status=3)
    site.install("acme-store", "acme", file_store(1))
    (step,) = tgtd.admin("plugin", "load", "acme")
    assert (step["action"], step["kind"], step["name"]) == ("add", "plugin", "acme")
    tgtd.admin("plugin", "load", "acme", status=2)
    tgtd.admin("lu", "add", "b", "store.type=acme", f"store.path={site.folder.parent / 'b.img'}")
    tgtd.admin("lun", "add", TARGET, "1", "b")
    users = [User(portal, 0, 0), User(portal, 1, BLOCKS)]
    for user in users:
        user.start()
    for version in (2, 3):
        site.install("acme-store", "acme", file_store(version), f"{version}.0")
        plugin, unit = tgtd.admin("plugin", "reload", "acme")
        assert (plugin["detail"], unit["name"]) == (f"{version - 1}.0 -> {version}.0", "b")
    site.install(
        "acme-store",
        "acme",
        file_store(4, "            pass", '            raise OSError(5, "Input/output error")'),
        "4.0",
    )
    tgtd.admin("plugin", "reload", "acme", status=1)
    assert tgtd.admin("show")["acme"] == 3
    assert {row["name"]: row["version"] for row in tgtd.admin("plugin", "list")}["acme"] == "3.0"
    for user in users:
        user.end()
        assert (user.news, user.rounds > 0) == ([], True)
    steps = tgtd.admin("plugin", "unload", "acme", "--dry-run")
    assert tgtd.admin("plugin", "unload", "acme") == steps
    assert [(step["action"], step["kind"]) for step in steps] == [
        ("remove", "LUN"),
        ("remove", "logical unit"),
        ("remove", "plugin"),
    ]
    tgtd.admin("plugin", "unload", "acme", status=4)
    tgtd.admin("plugin", "reload", "acme", status=4)


def test_our_own_plugins_are_reloaded_under_load(tgtd: Tgtd, portal: Address) -> None:
    users = [User(portal, 0, first) for first in (0, BLOCKS)]
    for user in users:
        user.start()
    for plugin in ("file", "disk", "file", "disk"):
        steps = tgtd.admin("plugin", "reload", plugin)
        assert [(step["kind"], step["name"]) for step in steps] == [("plugin", plugin), ("logical unit", "a")]
    for user in users:
        user.end()
        assert set(user.news) <= {NEW_MICROCODE}
    refused = tgtd.admin("plugin", "reload", "iscsi", status=2)
    assert "transport iscsi runs in the daemon" in refused["error"]["message"]


def test_a_plugin_in_use_is_unloaded_under_load(tgtd: Tgtd, portal: Address) -> None:
    users = [User(portal, 0, first) for first in (0, BLOCKS)]
    for user in users:
        user.start()
    tgtd.admin("plugin", "unload", "disk")
    for user in users:
        with pytest.raises(AssertionError, match=r"status (2|64)"):
            user.end()
    assert tgtd.admin("lu", "list") == []
    assert [row["name"] for row in tgtd.admin("plugin", "list")] == ["iscsi", "file"]


def test_a_transport_in_a_process_of_its_own_is_started_anew(tmp_path: Path) -> None:
    isolated = 'transports.iscsi.isolation = "process"\n[logical_units.a]'
    (tmp_path / "c.toml").write_text(CONFIG.replace("[logical_units.a]", isolated))
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path) as tgtd:
        parts = urlsplit(tgtd.ready["urls"][0])
        assert parts.hostname
        assert parts.port
        portal = Address(parts.hostname, parts.port)
        before = tgtd.admin("stat")["transports"]["iscsi"]["process"]
        first = Client(portal, TARGET, "iqn.2025-01.example:first")
        steps = tgtd.admin("plugin", "reload", "iscsi")
        assert [(step["kind"], step["name"]) for step in steps] == [("plugin", "iscsi"), ("transport", "iscsi")]
        first.abort()
        user = User(portal, 0, 0)
        user.start()
        user.end()
        after = tgtd.admin("stat")["transports"]["iscsi"]["process"]
        assert after["pid"] != before["pid"]
        assert after["starts"] == before["starts"] + 1
        assert tgtd.stop() == 0, tgtd.log
