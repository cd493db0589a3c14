"""The platform of the real hypervisor."""

import pytest
from guest.lab.guest import Guest
from guest.xen.dom0 import Dom0


@pytest.fixture(scope="module")
def guest(machine: Guest) -> Guest:
    return machine


def test_the_platform_keeps_its_promises(dom0: Dom0) -> None:
    done = dom0.python("guest.xen.inside.conformance", "main", timeout_s=200)
    print(done.text)
    assert done.status == 0, done.text
