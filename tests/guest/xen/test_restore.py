"""Guests that xl saves, restores and receives, under I/O that may not fail."""

from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.lab.verified import VerifiedWriter
from guest.xen.daemon import XenDaemon
from guest.xen.disks import XenDisks
from guest.xen.dom0 import Dom0
from guest.xen.domu import DomU
from guest.xen.remains import Remains, nothing_is_left, remains
from guest.xen.ways import Way

pytestmark = [pytest.mark.xen, pytest.mark.timeout(600)]

_FOLDER = "/mnt/d"
_WATCH = "xenstore-watch /local/domain >/tmp/told 2>&1 & echo $! >/tmp/watcher"
_FIND = """
found() { grep -lx 8192 /sys/bus/scsi/devices/*:0:0:0/block/*/size; }
within 30 found && disk=$(found) && disk=${disk%/size} && echo /dev/${disk##*/}
"""
"""The disk of 4 MiB."""
_RECEIVE = r"(cat {saved}; printf 'domain is yours, you are cleared to unpause\0') | xl migrate-receive"
"""What xl on another machine sends: all of the guest, and that it has stopped there for good."""


@pytest.fixture(scope="module")
def guest(machine: Guest) -> Guest:
    """It may be at one call of the hypervisor for long, where it is emulated."""
    machine.run("echo 1 >/sys/module/rcupdate/parameters/rcu_cpu_stall_suppress")
    return machine


@pytest.fixture(scope="module")
def daemon(dom0: Dom0) -> Iterator[XenDaemon]:
    with XenDaemon(dom0, Way(in_domu=True)) as served:
        yield served


@pytest.fixture(scope="module")
def empty(daemon: XenDaemon) -> Remains:
    """What there is without a guest."""
    return remains(daemon)


@pytest.fixture(scope="module")
def domu(dom0: Dom0, daemon: XenDaemon, empty: Remains) -> Iterator[DomU]:
    """A guest with a file system on its first disk."""
    with DomU(dom0, daemon.target) as domu:
        disk = XenDisks(domu)[0]
        domu.run(f"mkfs.ext4 -q -F -b 4096 {disk} && mount -t ext4 {disk} {_FOLDER}", timeout_s=100)
        yield domu
        domu.run(f"umount {_FOLDER} && e2fsck -f -n {disk}", timeout_s=100)


def test_a_guest_that_is_saved_goes_on_where_it_is(domu: DomU, daemon: XenDaemon) -> None:
    domid, sessions = domu.domid, daemon.figures["sessions"]
    with VerifiedWriter(domu, _FOLDER) as writer:
        domu.checkpoint()
        writer.wait_progress()
    assert domu.domid == domid
    assert daemon.figures["sessions"] == sessions


@pytest.mark.parametrize(
    "command",
    [
        "xl restore {saved}",
        "xl-restore {saved} {name}/0",
        pytest.param(_RECEIVE, id="xl migrate-receive"),
    ],
)
def test_a_guest_that_is_restored_has_its_disks(
    guest: Guest, domu: DomU, daemon: XenDaemon, empty: Remains, command: str
) -> None:
    """By its name, and by its UUID; its nodes are there before the store has a connection to it, and long before it goes on."""
    other = f"{daemon.figures['uuid']}/1"
    daemon.admin("xen", "attach", f"hba={other}", "target=other")
    disk = domu.text(_FIND)
    with VerifiedWriter(domu, _FOLDER) as writer:
        domu.run(f"dd if=/dev/urandom of={disk} bs=64k count=8 oflag=direct")
        old, written = domu.domid, _sum(domu, disk)
        domu.save()
        nothing_is_left(daemon, empty)
        guest.run(f"head -c 9M {domu.saved} >/tmp/part; ! xl restore /tmp/part", timeout_s=100)
        nothing_is_left(daemon, empty)
        guest.run(_WATCH)
        domu.restore(command.format(saved=domu.saved, name=domu.name))
        guest.run("kill $(cat /tmp/watcher)")
        writer.wait_progress()
        assert _sum(domu, disk) == written
    assert domu.domid > old
    told = guest.text("cat /tmp/told").split()
    home = f"/local/domain/{domu.domid}"
    for number in (0, 1):
        assert told.index(f"{home}/device/vscsi/{number}/state") < told.index(f"{home}/store/port")
    sessions = [(session["initiator"], session["target"]) for session in daemon.admin("session", "list")]
    assert sorted(sessions) == [("web", "other"), ("web", "web")]
    assert f"/backend/vscsi/{old}/" not in guest.text("xenstore-ls -f")
    daemon.admin("xen", "detach", f"hba={other}")


def _sum(domu: DomU, disk: str) -> str:
    return domu.text(f"dd if={disk} bs=64k count=8 iflag=direct 2>/dev/null | sha256sum")
