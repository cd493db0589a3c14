"""tgtd in a driver domain serves domain 0, which makes the nodes: two domains are enough."""

import time
from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def guest(machine: Guest) -> Guest:
    """Domain 0."""
    machine.run("modprobe -a xen-scsifront crc32c_generic ext4")
    return machine


@pytest.fixture(scope="module")
def domain(dom0: Dom0) -> Iterator[DriverDomain]:
    with DriverDomain(dom0) as domain:
        yield domain


@pytest.fixture(scope="module")
def daemon(domain: DriverDomain) -> Iterator[XenDaemon]:
    daemon = XenDaemon(Inside(domain), Way())
    daemon.__enter__()
    yield daemon
    print("the log of the daemons:", daemon.log, sep="\n")


@pytest.fixture
def disks(guest: Guest) -> XenDisks:
    return XenDisks(guest)


@pytest.mark.timeout(600)
@pytest.mark.provokes(_LOST)
def test_domain_0_is_served_on_nodes_that_it_has_made(
    guest: Guest, domain: DriverDomain, daemon: XenDaemon
) -> None:
    disks = XenDisks(guest)
    assert daemon.figures["state"] == _WAITS
    before = domain.nodes
    guest.run(f"{TOOL} make {NAME} {_HBA}")
    for lun in range(3):
        disks.look(lun)
    assert daemon.figures["state"] == "connected"
    guest.run(f"mkfs.ext4 -q -F -b 4096 {disks[0]} && mount -t ext4 {disks[0]} {_FOLDER}", timeout_s=100)
    with VerifiedWriter(guest, _FOLDER) as writer:
        daemon.kill()
        daemon.start()
        writer.wait_progress()
    guest.run(f"umount {_FOLDER} && e2fsck -f -n {disks[0]}", timeout_s=100)
    guest.run(f"{TOOL} remove {NAME} {_HBA}", timeout_s=100)
    disks.gone(0)
    assert domain.nodes == before
    deadline = time.monotonic() + _SOON_S
    while daemon.figures["state"] != _WAITS:
        assert time.monotonic() < deadline
    assert daemon.admin("stat")["leases"] == []
    assert "Traceback" not in daemon.log
