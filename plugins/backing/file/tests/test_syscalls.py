import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.syscalls import PUNCH_HOLE, PageCache, Window, fallocate, has_cachestat

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
    for cachestat in {False, has_cachestat()}:
        cache = PageCache(fd, cachestat)
        assert [cache.holds(offset, length) for _ in range(2)] == [held] * 2
        cache.close()


@pytest.mark.parametrize("cachestat", [True, False])
def test_a_kernel_that_can_not_tell_holds_nothing(fd: int, mocker: MockerFixture, cachestat: bool) -> None:
    cache = PageCache(fd, cachestat)
    mocker.patch("tgtcore_file.syscalls._syscall", return_value=-1)
    mocker.patch("tgtcore_file.syscalls._mincore", return_value=-1)
    assert cache.holds(0, PAGE) is False
    mocker.stopall()
    cache.close()


def test_where_the_kernel_says_that_everything_is_in_memory_nothing_is_held(fd: int, mocker: MockerFixture) -> None:
    def all_of_it(address: int, length: int, pages: int) -> int:
        ctypes.memset(pages, 1, length // PAGE)
        return 0

    mocker.patch("tgtcore_file.syscalls._mincore", side_effect=all_of_it)
    assert PageCache(fd, cachestat=False).holds(0, PAGE) is False


def test_where_there_are_no_addresses_nothing_is_held(fd: int, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_file.syscalls._mmap", return_value=(1 << 64) - 1)
    assert PageCache(fd, cachestat=False).holds(0, PAGE) is False


def test_a_large_file_is_looked_at_in_parts_and_grows(fd: int) -> None:
    far = 5 * Window.BYTES - PAGE
    before = shown(fd)
    cache = PageCache(fd, cachestat=False)
    assert cache.holds(far, 2 * PAGE) is False
    os.pwrite(fd, b"x" * 3 * PAGE, far)
    assert cache.holds(far, 3 * PAGE) is True, "across the end of a part"
    assert cache.holds(far + 1, 3 * PAGE) is False
    assert cache.holds(0, 4 * PAGE) is True
    assert cache.holds(0, Window.BYTES + 1) is False
    assert cache.holds(0, 0) is False
    many = 1000
    os.pwrite(fd, b"x" * many * PAGE, 0)
    assert cache.holds(0, many * PAGE) is True
    assert shown(fd) == before + 1
    cache.close()
    cache.close()
    assert shown(fd) == before
    assert cache.holds(0, PAGE) is True
    cache.close()


def shown(fd: int) -> int:
    """How many mappings of it there are."""
    return Path("/proc/self/maps").read_text().count(os.readlink(f"/proc/self/fd/{fd}"))


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
