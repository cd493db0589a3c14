import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.syscalls import PUNCH_HOLE, PageCache, fallocate

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "disk.img", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 16 * PAGE)
    os.pwrite(fd, b"x" * 4 * PAGE, 0)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("offset", "length", "held"),
    [
        (0, 4 * PAGE, True),
        (0, 1, True),
        (PAGE - 1, 2, True),
        (4 * PAGE - 1, 1, True),
        (4 * PAGE - 1, 2, False),
        (8 * PAGE, PAGE, False),
    ],
)
def test_only_ranges_of_which_every_page_is_in_memory_are_held(fd: int, offset: int, length: int, held: bool) -> None:
    assert PageCache(fd).holds(offset, length) is held


def test_a_kernel_that_can_not_tell_holds_nothing(fd: int, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_file.syscalls._syscall", return_value=-1)
    assert PageCache(fd).holds(0, PAGE) is False


def test_a_hole_is_punched(fd: int) -> None:
    fallocate(fd, PUNCH_HOLE, 1, PAGE)
    assert os.pread(fd, PAGE + 2, 0) == b"x" + bytes(PAGE) + b"x"


@pytest.mark.parametrize(("offset", "length", "code"), [(0, 0, errno.EINVAL), (-1, 1, errno.EINVAL)])
def test_errors_have_their_number(fd: int, offset: int, length: int, code: int) -> None:
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        fallocate(fd, PUNCH_HOLE, offset, length)
    assert caught.value.errno == code


def test_an_interrupted_call_is_repeated(fd: int, mocker: MockerFixture) -> None:
    call = mocker.patch("tgtcore_file.syscalls._fallocate", side_effect=[-1, 0])
    mocker.patch("ctypes.get_errno", return_value=errno.EINTR)
    fallocate(fd, PUNCH_HOLE, 0, PAGE)
    assert call.call_count == 2
