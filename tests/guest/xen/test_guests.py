"""Guests that xl makes and destroys, with the example hooks of contrib/xen."""

from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.xen.daemon import XenDaemon
from guest.xen.disks import XenDisks
from guest.xen.dom0 import Dom0
from guest.xen.domu import HOOKS, DomU
from guest.xen.remains import Remains, nothing_is_left, remains
from guest.xen.ways import Way

from tgtcore.testing.waiting import until

_SOON_S = 30
_WAYS = [Way(in_domu=True), pytest.param(Way(in_domu=True, isolated=True), marks=pytest.mark.xen)]


@pytest.fixture(scope="module")
def guest(machine: Guest) -> Guest:
    return machine


@pytest.fixture(scope="module", params=_WAYS, ids=str)
def daemon(request: pytest.FixtureRequest, dom0: Dom0) -> Iterator[XenDaemon]:
    with XenDaemon(dom0, request.param) as served:
        yield served


def test_a_guest_that_is_destroyed_under_io_leaves_nothing(guest: Guest, dom0: Dom0, daemon: XenDaemon) -> None:
    before, nodes = remains(daemon), _nodes(guest)
    with DomU(dom0, daemon.target) as domu:
        _load(daemon, domu, before)
        domu.destroy()
        nothing_is_left(daemon, before)
        assert _nodes(guest) == nodes


@pytest.mark.xen
def test_a_guest_that_crashes_under_io_leaves_nothing(guest: Guest, dom0: Dom0, daemon: XenDaemon) -> None:
    before, nodes = remains(daemon), _nodes(guest)
    with DomU(dom0, daemon.target) as domu:
        _load(daemon, domu, before)
        domu.run("(usleep 200000; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
        guest.run("within 30 sh -c '[ $(xl list | wc -l) = 2 ]'")
        nothing_is_left(daemon, before)
        assert _nodes(guest) == nodes


@pytest.mark.xen
@pytest.mark.timeout(600)
def test_a_guest_finds_its_disks_again_and_the_hook_of_libvirt_gives_it_more(
    guest: Guest, dom0: Dom0, daemon: XenDaemon
) -> None:
    """libvirt is not there: it would call the hook with these words."""
    name, hba = daemon.target, f"{daemon.target}/1"
    guest.put("/tmp/hook", (HOOKS / "libvirt-hook").read_bytes())
    guest.run(f"chmod +x /tmp/hook && mkdir -p /etc/tgtcore/xen && echo '1 {name}' >/etc/tgtcore/xen/{name}")
    before, nodes = remains(daemon), _nodes(guest)
    with DomU(dom0, name) as domu:
        disk = XenDisks(domu)[0]
        domu.run(f"dd if=/dev/urandom of={disk} bs=64k count=8 oflag=direct")
        written = _sum(domu, disk)
        domu.power_off()
        nothing_is_left(daemon, before)
        domu.start()
        assert _sum(domu, XenDisks(domu)[0]) == written
        guest.run(f"/tmp/hook {name} started begin - </dev/null")
        domu.run("within 30 exists /sys/bus/scsi/devices/1:0:0:2")
        assert daemon.admin("xen", "show", f"hba={hba}")[hba]["state"] == "connected"
        domu.power_off()
        guest.run(f"/tmp/hook {name} release end - </dev/null")
        assert hba not in daemon.admin("xen", "show")
        nothing_is_left(daemon, before)
        assert _nodes(guest) == nodes


def _load(daemon: XenDaemon, domu: DomU, before: Remains) -> None:
    """Have reads and writes under way, some of which the daemon has taken and not answered."""
    domu.run(f"load {XenDisks(domu)[1]}", timeout_s=100)
    until(lambda: daemon.figures["in_flight"], what=lambda: daemon.figures)
    there = remains(daemon)
    assert there.grants > before.grants
    assert there.ports > before.ports
    assert len(there.nodes) > len(before.nodes)
    assert there.journal
    assert daemon.admin("stat")["leases"]


def _sum(domu: DomU, disk: str) -> str:
    return domu.text(f"dd if={disk} bs=64k count=8 iflag=direct 2>/dev/null | sha256sum")


def _nodes(guest: Guest) -> list[str]:
    """All of the store that has a value: xl leaves empty directories of its own."""
    return [line for line in guest.text("xenstore-ls -f").splitlines() if not line.endswith('= ""')]
