"""A back end without root and without any capability: its user's groups may open three devices, and that is all."""

from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.lab.verified import VerifiedWriter
from guest.xen.daemon import FOLDER, JOURNAL, XenDaemon
from guest.xen.disks import XenDisks
from guest.xen.dom0 import Dom0
from guest.xen.inside import unprivileged
from guest.xen.remains import remains
from guest.xen.ways import Way

pytestmark = pytest.mark.xen

_USER, _GROUP, _UID, _OWN_GID, _GID = "tgt", "xenback", 500, 501, 600
_DEVICES = "/dev/xen/xenbus /dev/xen/gntdev /dev/xen/evtchn"
_KERNELS_WAY = '[transports.xen.hypervisor]\nxenstore = "/dev/xen/xenbus"'
_MOUNTED = "/mnt/d"
_LOST = "Power-on|Sense Key"
_HUNG_S = 60
"""Who writes waits for a daemon and a process of its own to start, on an emulated processor."""


class UnprivilegedDaemon(XenDaemon):
    """All of it belongs to that user."""

    program: tuple[str, ...] = (unprivileged.__name__, "main", _USER)
    way = Way()
    keys = _KERNELS_WAY

    def __init__(self, dom0: Dom0) -> None:
        super().__init__(dom0, self.way)
        self._isolation = self.keys

    @property
    def driver_pid(self) -> int:
        """The process that has the devices."""
        return self.pid


class UnprivilegedDriver(UnprivilegedDaemon):
    """The daemon is root's, and the process of its transport that user's."""

    program = XenDaemon.program
    way = Way(isolated=True)
    keys = f'isolation = "process"\nuser = "{_USER}"\n{_KERNELS_WAY}'

    def configure(self, *, target: str = "", devices: str = "") -> None:
        super().configure(target=target, devices=devices)
        self.dom0.guest.run(f"mkdir -p {JOURNAL} && chown {_USER}: {JOURNAL} && chmod 755 {FOLDER}")

    @property
    def driver_pid(self) -> int:
        return int(self._driver["pid"])


@pytest.fixture(scope="module")
def guest(machine: Guest) -> Guest:
    """Domain 0, which serves itself."""
    machine.run(
        f"""
        echo {_USER}:x:{_UID}:{_OWN_GID}::{FOLDER}:/bin/sh >>/etc/passwd
        echo {_USER}:x:{_OWN_GID}: >>/etc/group; echo {_GROUP}:x:{_GID}:{_USER} >>/etc/group
        chgrp {_GROUP} {_DEVICES} && chmod 660 {_DEVICES} && modprobe xen-scsifront
        echo {_HUNG_S} >/proc/sys/kernel/hung_task_timeout_secs
        """
    )
    return machine


@pytest.fixture(scope="module", params=[UnprivilegedDaemon, UnprivilegedDriver])
def daemon(request: pytest.FixtureRequest, dom0: Dom0, guest: Guest) -> Iterator[UnprivilegedDaemon]:
    with request.param(dom0) as served:
        yield served


@pytest.mark.provokes(_LOST)
def test_everything_works_for_who_has_a_group_and_no_capability(guest: Guest, daemon: UnprivilegedDaemon) -> None:
    hba, disks = f"hba={daemon.hba}", XenDisks(guest)
    _look(disks)
    daemon.admin("xen", "detach", hba)
    disks.gone(0)
    empty = remains(daemon)
    assert (empty.grants, empty.nodes, empty.journal) == (0, (), ())
    daemon.admin("xen", "attach", hba)
    _look(disks)
    disk = disks[0]
    _check_rights(guest, daemon)
    guest.run(f"modprobe -a crc32c_generic ext4; mkfs.ext4 -q -F -b 4096 {disk} && mount -t ext4 {disk} {_MOUNTED}")
    with VerifiedWriter(guest, _MOUNTED) as writer:
        assert remains(daemon).journal
        daemon.kill()
        daemon.start()
        writer.wait_progress()
    _check_rights(guest, daemon)
    guest.run(f"umount {_MOUNTED} && e2fsck -f -n {disk}", timeout_s=100)
    daemon.admin("xen", "detach", hba)
    disks.gone(0)
    assert remains(daemon) == empty
    assert daemon.admin("stat")["leases"] == []
    daemon.admin("xen", "attach", hba)  # as it was
    _look(disks)


def _look(disks: XenDisks) -> None:
    """Wait until the kernel has looked at them: it complains of those that go meanwhile."""
    for lun in range(3):
        disks.look(lun)


def _check_rights(guest: Guest, daemon: UnprivilegedDaemon) -> None:
    """Of the process that has the devices open."""
    status = guest.text(f"cat /proc/{daemon.driver_pid}/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert found["Uid"].split() == [str(_UID)] * 4
    assert found["Gid"].split() == [str(_OWN_GID)] * 4
    assert sorted(found["Groups"].split()) == [str(_OWN_GID), str(_GID)]
    assert {int(found[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
    opened = guest.text(f"ls -l /proc/{daemon.driver_pid}/fd").split()
    assert set(_DEVICES.split()) <= set(opened)
    assert daemon.admin("xen", "show")[daemon.hba]["state"] == "connected"
