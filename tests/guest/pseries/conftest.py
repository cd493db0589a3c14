"""One pSeries guest for all tests here, as it takes long to boot."""

from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.pseries.machine import PSERIES


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    with Guest(PSERIES) as machine:
        yield machine
