import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from pytest_mock import MockerFixture
from tgtcore_cow.files import HostFile

from tgtcore import Features, StoreError
from tgtcore.testing.store import StoreConformance

MIB = 1 << 20
CONTENT = Random(1).randbytes(300_003)


class TestFile(StoreConformance):
    persistent = True

    def make_store(self, folder: Path) -> HostFile:
        path = folder / "disk.img"
        file = HostFile(path, create=not path.exists())
        if not file.size_bytes:
            file.resize(2 * MIB)
        return file


class TestFileOpenedForReading(StoreConformance):
    def make_store(self, folder: Path) -> HostFile:
        (folder / "disk.img").write_bytes(CONTENT)
        return HostFile(folder / "disk.img", read_only=True)

    def initial(self, size_bytes: int) -> bytes:
        return CONTENT


class TestFileInMemory(StoreConformance):
    """A tmpfs has no RWF_NOWAIT."""

    def make_store(self, folder: Path) -> HostFile:
        with os.fdopen(os.memfd_create("disk"), "w") as memory:
            memory.truncate(MIB)
            return HostFile(Path(f"/proc/self/fd/{memory.fileno()}"))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HostFile]:
    file = HostFile(tmp_path / "disk.img", create=True)
    file.resize(2 * MIB)
    yield file
    file.close()


def test_a_new_file_is_empty_and_private(tmp_path: Path) -> None:
    file = HostFile(tmp_path / "new.img", create=True)
    assert file.size_bytes == 0
    assert (tmp_path / "new.img").stat().st_mode & 0o777 == 0o600
    file.close()
    with pytest.raises(StoreError, match=r"new.img can't be made: there is such a file already"):
        HostFile(tmp_path / "new.img", create=True)


def test_only_what_was_made_is_unmade(tmp_path: Path) -> None:
    path = tmp_path / "new.img"
    for create in (True, False):
        file = HostFile(path, create=create)
        file.close()
    assert path.exists()
    path.unlink()
    file = HostFile(path, create=True)
    file.unmake()
    file.close()
    assert not path.exists()


def test_space_comes_and_goes(file: HostFile, tmp_path: Path) -> None:
    def allocated() -> int:
        return sum(extent.length for extent in file.extents(0, 2 * MIB) if extent.allocated)

    assert allocated() == 0
    file.write(0, b"x" * MIB)
    assert allocated() == MIB
    file.unmap(0, MIB // 2)
    assert allocated() == MIB // 2
    assert Features.UNMAP in file.features()


def test_bytes_in_memory_are_read_at_once_and_others_are_not(file: HostFile, mocker: MockerFixture) -> None:
    file.write(0, b"x" * 4096)
    assert file.read_nowait(0, 4096) == b"x" * 4096
    mocker.patch("os.preadv", side_effect=BlockingIOError(errno.EAGAIN, "not in memory"))
    assert file.read_nowait(0, 4096) is None
    mocker.stopall()
    assert file.read_nowait(0, 4096) == b"x" * 4096


def test_where_reads_always_wait_that_is_asked_once(file: HostFile, mocker: MockerFixture) -> None:
    preadv = mocker.patch("os.preadv", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    assert file.read_nowait(0, 4096) is None
    assert file.read_nowait(0, 4096) is None
    assert preadv.call_count == 1


def test_a_file_that_others_make_shorter_is_an_error(file: HostFile, tmp_path: Path) -> None:
    os.truncate(tmp_path / "disk.img", MIB)
    assert file.read_nowait(MIB - 512, 1024) is None
    with pytest.raises(OSError, match=r"disk.img ends at byte 1048576, expected 512 more bytes") as caught:
        file.read(MIB - 512, 1024)
    assert caught.value.errno == errno.EIO


def test_what_is_written_in_pieces_is_written(file: HostFile, mocker: MockerFixture) -> None:
    pwrite = os.pwrite
    mocker.patch("os.pwrite", side_effect=lambda fd, data, at: pwrite(fd, data[:100], at))
    file.write(5, CONTENT[:1000])
    assert file.read(5, 1000) == CONTENT[:1000]
    mocker.patch("os.pwrite", return_value=0)
    with pytest.raises(OSError, match="took nothing of 1000 bytes at offset 5"):
        file.write(5, CONTENT[:1000])


def test_no_flush_succeeds_after_one_that_failed(file: HostFile, mocker: MockerFixture) -> None:
    mocker.patch("os.fdatasync", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        file.flush()
    mocker.stopall()
    for _ in range(2):
        with pytest.raises(OSError, match=r"an earlier flush failed \(Input/output error\) and writes may be lost"):
            file.flush()


@pytest.mark.parametrize("read_only", [False, True])
def test_only_a_file_that_is_never_written_need_not_be_synced(
    tmp_path: Path, mocker: MockerFixture, read_only: bool
) -> None:
    (tmp_path / "disk.img").touch()
    file = HostFile(tmp_path / "disk.img", read_only=read_only)
    mocker.patch("os.fdatasync", side_effect=OSError(errno.EINVAL, "Invalid argument"))
    if read_only:
        file.flush()
    else:
        with pytest.raises(OSError, match="Invalid argument"):
            file.flush()
    file.close()


def test_a_file_system_without_holes_can_not_unmap(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_cow.files.syscalls.punch_hole", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    file = HostFile(tmp_path / "disk.img", create=True)
    assert file.features() == Features.WRITE | Features.RESIZE | Features.EXTENTS
    file.close()


def test_a_block_device_stays_as_long_as_it_is(tmp_path: Path, mocker: MockerFixture) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(MIB))
    mocker.patch("stat.S_ISREG", return_value=False)
    mocker.patch("stat.S_ISBLK", return_value=True)
    opening = mocker.spy(os, "open")
    file = HostFile(tmp_path / "disk.img")
    assert any(call.args[1] & os.O_EXCL for call in opening.call_args_list)
    assert file.features() == Features.WRITE
    assert file.size_bytes == MIB
    file.close()


def test_a_closed_file_reaches_no_other(tmp_path: Path) -> None:
    file = HostFile(tmp_path / "disk.img", create=True)
    file.close()
    with open(tmp_path / "other", "w+b") as other:
        for call in (lambda: file.write(0, b"x"), lambda: file.read(0, 1), file.flush, lambda: file.resize(1)):
            with pytest.raises(OSError, match="Bad file descriptor"):
                call()
        assert other.read() == b""


@pytest.mark.parametrize("create", [False, True])
def test_a_failure_while_opening_closes_the_file(tmp_path: Path, mocker: MockerFixture, create: bool) -> None:
    path = tmp_path / "disk.img"
    if not create:
        path.touch()
    before = set(os.listdir("/proc/self/fd"))
    mocker.patch("tgtcore_cow.files.host_file.punches_holes", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        HostFile(path, create=create)
    assert set(os.listdir("/proc/self/fd")) <= before
    assert path.exists() is not create
