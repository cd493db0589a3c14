"""A Xen machine for each module; in it, for each way, a daemon and the domain with its front end."""

from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.lab.kernel_log import complaints
from guest.lab.shell import Shell
from guest.xen.daemon import XenDaemon
from guest.xen.disks import XenDisks
from guest.xen.dom0 import Dom0
from guest.xen.domu import DomU
from guest.xen.machine import XEN
from guest.xen.ways import WAYS, Way


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests with a daemon run each way that they can; only the first way belongs to the usual runs."""
    if "disks" in metafunc.fixturenames:
        isolated = metafunc.definition.get_closest_marker("isolated") is not None
        ways = [
            pytest.param(way, id=str(way), marks=[] if way is WAYS[0] else pytest.mark.xen)
            for way in WAYS
            if way.isolated or not isolated
        ]
        metafunc.parametrize("way", ways, indirect=True, scope="module")


@pytest.fixture(scope="module")
def machine() -> Iterator[Guest]:
    with Guest(XEN) as machine:
        yield machine


@pytest.fixture(scope="module")
def dom0(machine: Guest) -> Dom0:
    return Dom0(machine)


@pytest.fixture(scope="module")
def way(request: pytest.FixtureRequest) -> Way:
    """Where the ends of a virtual HBA are."""
    found: Way = request.param
    return found


@pytest.fixture(scope="module")
def daemon(dom0: Dom0, way: Way) -> Iterator[XenDaemon]:
    with XenDaemon(dom0, way) as served:
        yield served


@pytest.fixture(scope="module")
def guest(dom0: Dom0, daemon: XenDaemon, way: Way) -> Iterator[Shell]:
    """The domain with the front end."""
    if way.in_domu:
        with DomU(dom0, way.guest, processors=2) as domu:
            yield domu
    else:
        dom0.guest.run("modprobe xen-scsifront")
        yield dom0.guest


@pytest.fixture(scope="module")
def disks(guest: Shell) -> XenDisks:
    return XenDisks(guest)


@pytest.fixture(autouse=True)
def kernel_log_of_dom0(machine: Guest, guest: Shell) -> Iterator[None]:
    """Whatever happens to another domain is no news to the kernel of domain 0."""
    if guest is machine:
        yield
        return
    machine.run("dmesg -c >/dev/null")
    yield
    found = complaints(machine.text("dmesg -c"), ())
    assert not found, "the kernel of domain 0 says:\n" + "\n".join(found)
