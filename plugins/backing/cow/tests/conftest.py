import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def nothing_stays_open() -> Iterator[None]:
    """Whatever a test opens, and whatever fails in it, is closed again."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    # fewer are no fault: the garbage of a test before may have been collected meanwhile
    assert set(os.listdir("/proc/self/fd")) <= before
