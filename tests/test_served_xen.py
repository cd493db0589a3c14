"""Xen's virtual SCSI as a daemon serves it by its configuration: what guests meet, and what an administrator does."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xen_lab
from oracle.harsh_stores import environment
from support.served_hbas import BLOCK, CAPACITY, READY, ServedHbas, transfer

from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.waiting import until

CONFIG = """
plugins = ["xenlab", "disk", "file"]
[daemon]
socket = "tgtd.socket"
state_directory = "state"
drain_s = 1
[transports.xen]
isolation = "none"
portals = [{ address = "web1/0" }]
platform = "emulated"
emulated = { machine = "lab" }
journal = "JOURNAL"
close_s = 1
[logical_units.root]
device_type = "disk"
store = { type = "file", path = "root.img", create = true, size = "1M" }
[logical_units.data]
device_type = "disk"
store = { type = "memory", size = "2M" }
[logical_units.growing]
device_type = "disk"
store = { type = "memory", size = "1M" }
[targets.web1]
transport = "xen"
luns = ["root", "data"]
allow = { initiators = ["web1", "web2"] }
"""
CAPACITY_DATA_HAS_CHANGED = b"\x2a\x09"
_WAITS_S = 0.5
"""How long a command is seen to wait: it takes a hundredth of that otherwise."""


class Site(ServedHbas):
    """A daemon and its guests."""

    def __init__(self, folder: Path, isolation: str) -> None:
        super().__init__(folder, "xen", CONFIG, isolation, JOURNAL=folder / "journal")
        try:
            self.until((folder / xen_lab.SOCKET).exists)
            self.lab = xen_lab.Lab(folder)
        except BaseException:
            with self.tgtd:
                raise

    def environment(self) -> dict[str, str]:
        return environment(self.folder, {xen_lab.NAME: xen_lab.__name__})

    def stop(self) -> None:
        self.lab.close()
        super().stop()

    def shown(self, hba: str = "web1/0") -> Any:
        return self.show(hba)

    def until(self, true: Callable[[], Any]) -> None:
        """Wait until something is true."""
        until(true, what=lambda: self.tgtd.log)

    def run(self, lun: int, cdb: bytes, data: bytes = b"", room: int = 0, guest: str = "web1") -> bytes:
        """Data of a command, which is repeated until all unit attentions are told."""
        while True:
            host, status, got, sense = self.lab(
                "execute", name=guest, lun=lun, cdb=cdb.hex(), data=data.hex(), room=room
            )
            if status == Status.CHECK_CONDITION and bytes.fromhex(sense)[2] == SenseKey.UNIT_ATTENTION:
                continue
            assert (host, status) == (0, Status.GOOD), (host, status, sense)
            return bytes.fromhex(got)


@pytest.fixture(scope="module", params=["none", pytest.param("process", marks=pytest.mark.slow)])
def served(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    """One daemon for all tests: it takes most of their time to start."""
    site = Site(tmp_path_factory.mktemp("site"), request.param)
    yield site
    site.stop()


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    """With the guest web1, which has found its devices; at the end it is destroyed, and nothing may be in use."""
    served.lab("create", name="web1")
    served.lab("connect", name="web1")
    served.until(lambda: served.shown()["back_end"] == "connected")
    yield served
    served.lab("destroy", name="web1")
    served.until(lambda: served.shown()["state"] == "waiting for the guest")
    served.until(lambda: served.lab("in_use") == [0, 0])


def test_a_guest_finds_its_devices_and_uses_them(site: Site) -> None:
    assert site.lab("devices", name="web1") == [0, 1]
    for lun, size in ((0, 1 << 20), (1, 2 << 20)):
        capacity = site.run(lun, CAPACITY, room=8)
        assert int.from_bytes(capacity[:4], "big") == size // BLOCK - 1
        for blocks in (1, 8, 300):
            data = os.urandom(blocks * BLOCK)
            site.run(lun, transfer(0x2A, 7, blocks), data)
            assert site.run(lun, transfer(0x28, 7, blocks), room=len(data)) == data
    both = {"0:0:0:0": "connected / connected", "0:0:0:1": "connected / connected"}
    site.until(lambda: site.shown()["devices"] == both)
    shown = site.shown()
    assert (shown["state"], shown["guest"], shown["target"]) == ("connected", "web1", "web1")
    (session,) = site.tgtd.admin("session", "list")
    assert (session["id"], session["initiator"], session["portal"]) == ("web1/0", "web1", "web1/0")


@pytest.mark.parametrize("evpd", [0, 1])
def test_an_inquiry_may_have_the_lun_where_scsi_2_had_it(site: Site, evpd: int) -> None:
    """As the first one of Linux has where there is no LUN 0 that tells it better; it finds no disk if that is refused."""
    site.tgtd.admin("lun", "add", "web1", "5", "growing")
    site.until(lambda: site.lab("devices", name="web1") == [0, 1, 5])
    usual = site.run(5, bytes((0x12, evpd, 0, 0, 36, 0)), room=36)
    assert site.run(5, bytes((0x12, 5 << 5 | evpd, 0, 0, 36, 0)), room=36) == usual
    cdb = bytes((0x12, 4 << 5 | evpd, 0, 0, 36, 0))
    host, status, _, sense = site.lab("execute", name="web1", lun=5, cdb=cdb.hex(), data="", room=36)
    assert (host, status, bytes.fromhex(sense)[2]) == (0, Status.CHECK_CONDITION, SenseKey.ILLEGAL_REQUEST)
    site.tgtd.admin("lun", "remove", "web1", "5")
    site.until(lambda: site.lab("devices", name="web1") == [0, 1])


def test_logical_units_come_and_go(site: Site) -> None:
    site.tgtd.admin("lun", "remove", "web1", "1")
    site.until(lambda: site.lab("devices", name="web1") == [0])
    site.tgtd.admin("lun", "add", "web1", "5", "data")
    site.until(lambda: site.lab("devices", name="web1") == [0, 5])
    assert site.run(5, READY) == b""
    site.tgtd.admin("lun", "remove", "web1", "5")
    site.tgtd.admin("lun", "add", "web1", "1", "data")
    site.until(lambda: site.lab("devices", name="web1") == [0, 1])


def test_a_logical_unit_grows_and_the_guest_is_told(site: Site) -> None:
    """By a unit attention, CAPACITY DATA HAS CHANGED; what was there stays, and there is room behind it."""
    site.tgtd.admin("lun", "add", "web1", "4", "growing")
    site.until(lambda: site.lab("devices", name="web1") == [0, 1, 4])
    before = _blocks(site, 4)
    data = os.urandom(BLOCK)
    site.run(4, transfer(0x2A, before - 1, 1), data)
    site.tgtd.admin("lu", "resize", "growing", str(before * BLOCK + (1 << 20)))
    host, status, _, sense = site.lab("execute", name="web1", lun=4, cdb=READY.hex(), data="", room=0)
    assert (host, status) == (0, Status.CHECK_CONDITION)
    assert bytes.fromhex(sense)[12:14] == CAPACITY_DATA_HAS_CHANGED
    after = _blocks(site, 4)
    assert after == before + (1 << 20) // BLOCK
    site.run(4, transfer(0x2A, after - 1, 1), data)
    for block in (before - 1, after - 1):
        assert site.run(4, transfer(0x28, block, 1), room=BLOCK) == data
    site.tgtd.admin("lun", "remove", "web1", "4")
    site.until(lambda: site.lab("devices", name="web1") == [0, 1])


def _blocks(site: Site, lun: int) -> int:
    """How many READ CAPACITY tells of."""
    return int.from_bytes(site.run(lun, CAPACITY, room=8)[:4], "big") + 1


def test_attach_and_detach(site: Site) -> None:
    domid = site.lab("create", name="web2")
    attached = site.tgtd.admin("xen", "attach", "hba=web2/1", "target=web1")
    assert attached == {"hba": "web2/1", "domid": domid, "state": "waiting for the front end"}
    assert site.lab("read", path=f"/local/domain/{domid}/device/vscsi/1/state") == "1"
    site.lab("connect", name="web2", number=1)
    assert site.run(0, READY, guest="web2") == b""
    again = site.tgtd.admin("xen", "attach", "hba=web2/1")
    assert again["state"] == "connected", "whoever is connected stays"
    site.tgtd.admin("xen", "attach", "hba=web2/1", "target=other", status=2)
    assert [portal["address"] for portal in site.tgtd.admin("portal", "list")] == ["web1/0", "web2/1"]
    assert "web2/1" in site.tgtd.admin("save", "-")["configuration"]
    assert site.tgtd.admin("xen", "detach", "hba=web2/1") == {"hba": "web2/1", "state": "detached"}
    assert site.lab("read", path=f"/local/domain/{domid}/device/vscsi/1/state") is None
    assert list(site.tgtd.admin("xen", "show")) == ["web1/0"]
    site.tgtd.admin("xen", "detach", "hba=web2/1", status=4)
    site.lab("destroy", name="web2")


def test_attach_tells_by_its_status_when_the_guest_is_not_there(site: Site) -> None:
    failed = site.tgtd.admin("xen", "attach", "hba=gone/0", "target=web1", status=4)
    assert failed["error"]["message"] == "there is no guest gone; virtual HBA gone/0 waits for it"
    assert site.shown("gone/0")["state"] == "waiting for the guest"
    site.tgtd.admin("xen", "detach", "hba=gone/0")
    failed = site.tgtd.admin("xen", "attach", "hba=gone", status=2)
    assert "expected GUEST/DEV" in failed["error"]["message"]


def test_a_session_that_is_removed_comes_again(site: Site) -> None:
    site.tgtd.admin("session", "remove", "web1/0", "--transport", "xen")
    site.until(lambda: site.shown()["sessions"] >= 2 and site.shown()["back_end"] == "connected")
    site.until(lambda: site.lab("devices", name="web1") == [0, 1])
    assert site.run(1, READY) == b""


@pytest.mark.parametrize("what", [("target", "web1"), ("transport", "xen")])
def test_who_is_drained_waits(site: Site, what: tuple[str, str]) -> None:
    """To the guest it is a delay: no state changes, and the command that it sends meanwhile is done afterwards."""
    kind, name = what
    data = os.urandom(8 * BLOCK)
    site.tgtd.admin(kind, "drain", name, "--force")
    assert site.tgtd.admin("session", "list") == []
    site.lab.begin("execute", name="web1", lun=1, cdb=transfer(0x2A, 9, 8).hex(), data=data.hex(), room=0)
    assert not site.lab.has_answered(_WAITS_S), "the command was not to be done yet"
    site.tgtd.admin(kind, "reopen", name)
    host, status, _, sense = site.lab.end()
    assert (host, status) == (0, Status.GOOD) or bytes.fromhex(sense)[2] == SenseKey.UNIT_ATTENTION
    site.run(1, transfer(0x2A, 9, 8), data)
    assert site.run(1, transfer(0x28, 9, 8), room=len(data)) == data
    assert site.shown()["front_end"] == "connected"


def test_a_guest_that_is_not_admitted_any_more_loses_its_hba(site: Site) -> None:
    site.tgtd.admin("access", "set", "web1", "--initiator", "web2")
    site.until(lambda: site.shown()["state"] == "refused")
    assert site.shown()["refused"] == "target web1 does not admit web1"
    site.tgtd.admin("access", "set", "web1", "--initiator", "web1", "--initiator", "web2")
    site.tgtd.admin("xen", "attach", "hba=web1/0")
    site.until(lambda: site.shown()["back_end"] == "connected")
    assert site.run(0, READY) == b""
