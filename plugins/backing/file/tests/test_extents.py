import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.extents import allocated_extents

from tgtcore import Extent

CLUSTER = 65536


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """Data in every second cluster, the first of 4000 is a hole."""
    fd = os.open(tmp_path / "disk.img", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 4000 * CLUSTER)
    for cluster in range(1, 4000, 2):
        os.pwrite(fd, b"x" * 4096, cluster * CLUSTER)
    yield fd
    os.close(fd)


def test_data_and_holes_are_clipped_to_the_range(fd: int) -> None:
    assert allocated_extents(fd, CLUSTER - 10, 4096 + 20) == [
        Extent(CLUSTER - 10, 10, False),
        Extent(CLUSTER, 4096, True),
        Extent(CLUSTER + 4096, 10, False),
    ]
    assert allocated_extents(fd, CLUSTER + 1, 2) == [Extent(CLUSTER + 1, 2, True)]
    assert allocated_extents(fd, 1, 2) == [Extent(1, 2, False)]


def test_a_long_list_ends_early(fd: int) -> None:
    found = allocated_extents(fd, 0, 4000 * CLUSTER)
    assert len(found) == 1024
    assert sum(extent.length for extent in found) == 1023 * CLUSTER + 4096


def test_beyond_the_end_of_the_file_there_is_no_data(fd: int) -> None:
    os.ftruncate(fd, 0)
    assert allocated_extents(fd, 0, 1 << 20) == [Extent(0, 1 << 20, False)]


def test_other_failures_are_errors(fd: int, mocker: MockerFixture) -> None:
    mocker.patch("os.lseek", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        allocated_extents(fd, 0, 4096)
