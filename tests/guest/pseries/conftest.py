"""A pSeries guest for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.pseries.disks import VirtualDisks
from guest.pseries.machine import PSERIES


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    with Guest(PSERIES) as machine:
        yield machine


@pytest.fixture(scope="module")
def disks(guest: Guest, work: Path) -> Iterator[VirtualDisks]:
    with VirtualDisks(guest, work, "ping_interval_s = 1") as served:
        yield served
