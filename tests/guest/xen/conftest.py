"""One Xen machine for all tests here."""

from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.xen.dom0 import Dom0
from guest.xen.machine import XEN


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    with Guest(XEN) as machine:
        yield machine


@pytest.fixture(scope="session")
def dom0(guest: Guest) -> Dom0:
    return Dom0(guest)
