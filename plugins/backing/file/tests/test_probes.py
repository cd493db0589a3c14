import errno
import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.probes import can_zero_range, punches_holes, reads_without_waiting


def test_probing_leaves_content_size_and_space_alone(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * 1_000_001)
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    blocks = os.fstat(fd).st_blocks
    punches_holes(fd, 1_000_001)
    can_zero_range(fd, 1_000_001)
    os.fsync(fd)
    assert os.fstat(fd).st_blocks == blocks
    os.close(fd)
    assert path.read_bytes() == b"x" * 1_000_001


def test_memory_files_punch_holes_and_do_not_zero_ranges() -> None:
    fd = os.memfd_create("disk")
    os.ftruncate(fd, 4096)
    assert punches_holes(fd, 4096)
    assert not can_zero_range(fd, 4096)
    os.close(fd)


@pytest.mark.parametrize(
    ("answer", "works"),
    [([1], True), (BlockingIOError(errno.EAGAIN, "again"), True), (OSError(errno.EOPNOTSUPP, "not supported"), False)],
)
def test_reads_that_may_ask_not_to_wait(mocker: MockerFixture, answer: object, works: bool) -> None:
    mocker.patch("os.preadv", side_effect=answer)
    assert reads_without_waiting(0) is works
