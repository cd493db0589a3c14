"""tgtd in a driver domain serves domain 0, which makes the nodes: two domains are enough."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from guest.lab.guest import Guest
from guest.lab.verified import VerifiedWriter
from guest.xen.daemon import XenDaemon
from guest.xen.disks import XenDisks
from guest.xen.dom0 import Dom0
from guest.xen.driver_domain import NAME, TOOL, DriverDomain, Inside
from guest.xen.ways import Way

pytestmark = pytest.mark.xen

_HBA = "Domain-0/0"
_WAITS = "waiting for its nodes"
_FOLDER = "/mnt/d"
_LOST = "Power-on|Sense Key"
_SOON_S = 30
_NOT_SERVED = 3


@pytest.fixture(scope="module")
def guest(machine: Guest) -> Guest:
    """Domain 0."""
    machine.run("modprobe -a xen-scsifront crc32c_generic ext4")
    return machine


@pytest.fixture(scope="module")
def domain(dom0: Dom0) -> Iterator[DriverDomain]:
    with DriverDomain(dom0) as domain:
        yield domain


@contextmanager
def _daemon(domain: DriverDomain) -> Iterator[XenDaemon]:
    """It ends with its domain."""
    daemon = XenDaemon(Inside(domain), Way())
    try:
        yield daemon.__enter__()
    except BaseException:
        print("the log of the daemons:", daemon.log, sep="\n")
        raise


@pytest.mark.timeout(1000)
@pytest.mark.provokes(f"{_LOST}|rejecting I/O|Synchronize")
def test_domain_0_is_served_on_nodes_that_it_has_made_and_survives_the_end_of_who_serves_it(
    guest: Guest, domain: DriverDomain
) -> None:
    disks = XenDisks(guest)
    with _daemon(domain) as daemon:
        assert daemon.figures["state"] == _WAITS
        before = domain.nodes
        _make(guest, disks)
        assert daemon.figures["state"] == "connected"
        guest.run(f"mkfs.ext4 -q -F -b 4096 {disks[0]} && mount -t ext4 {disks[0]} {_FOLDER}", timeout_s=100)
        with VerifiedWriter(guest, _FOLDER) as writer:
            daemon.kill()
            daemon.start()
            writer.wait_progress()
        guest.run(f"umount {_FOLDER} && e2fsck -f -n {disks[0]}", timeout_s=100)
        guest.run(f"{TOOL} remove {NAME} {_HBA}", timeout_s=100)
        disks.gone(0)
        _waits(daemon)
        assert domain.nodes == before
        assert daemon.admin("stat")["leases"] == []
        assert "Traceback" not in daemon.log
        _make(guest, disks)
        domid = guest.text(f"xl domid {NAME}")
    domain.destroy()
    assert guest.run(f"{TOOL} remove {domid} {_HBA}", check=False).status == _NOT_SERVED
    guest.run("for disk in /sys/class/scsi_disk/*; do echo temporary write through >$disk/cache_type; done")
    guest.run(f"{TOOL} forget {domid} {_HBA}")
    for lun in range(3):
        disks.gone(lun)
    domain.start()
    with _daemon(domain) as daemon:
        _make(guest, disks)
        daemon.admin("xen", "detach", f"hba={daemon.hba}")
        disks.gone(0)
        assert guest.text(f"xenstore-read /local/domain/$(xl domid {NAME})/backend/vscsi/0/0/state") == "6"
        guest.run(f"{TOOL} remove {NAME} {_HBA}")
        assert domain.nodes == before


def _make(guest: Guest, disks: XenDisks) -> None:
    guest.run(f"{TOOL} make {NAME} {_HBA}")
    for lun in range(3):
        disks.look(lun)


def _waits(daemon: XenDaemon) -> None:
    deadline = time.monotonic() + _SOON_S
    while daemon.figures["state"] != _WAITS:
        assert time.monotonic() < deadline
