import errno
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.file import FileStore
from tgtcore_file.options import FileOptions
from tgtcore_file.syscalls import PageCache

from tgtcore import Extent, Features, FileLock, StoreError, lock_file
from tgtcore.testing.store import StoreConformance

MIB = 1 << 20
CONTENT = Random(1).randbytes(MIB)


def _make(folder: Path, **keys: Any) -> FileStore:
    return FileStore(FileOptions(path=folder / "disk.img", create=True, size=2 * MIB, **keys))


class TestSparseFile(StoreConformance):
    persistent = True

    def make_store(self, folder: Path) -> FileStore:
        return _make(folder)


class TestPreallocatedFile(StoreConformance):
    persistent = True

    def make_store(self, folder: Path) -> FileStore:
        return _make(folder, preallocate=True)


class TestFileOpenedForReading(StoreConformance):
    def make_store(self, folder: Path) -> FileStore:
        (folder / "disk.img").write_bytes(CONTENT)
        return FileStore(FileOptions(path=folder / "disk.img", read_only=True))

    def initial(self, size_bytes: int) -> bytes:
        return CONTENT


class TestFileOfAnOddSize(StoreConformance):
    def make_store(self, folder: Path) -> FileStore:
        (folder / "disk.img").write_bytes(bytes(300_003))
        return FileStore(FileOptions(path=folder / "disk.img"))


class TestFileInMemory(StoreConformance):
    """A tmpfs has neither RWF_NOWAIT nor FALLOC_FL_ZERO_RANGE."""

    def make_store(self, folder: Path) -> FileStore:
        with os.fdopen(os.memfd_create("disk"), "w") as memory:
            memory.truncate(MIB)
            return FileStore(FileOptions(path=Path(f"/proc/self/fd/{memory.fileno()}")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    store = _make(tmp_path)
    yield store
    store.close()


def test_what_a_sparse_file_takes_and_what_is_left(store: FileStore, tmp_path: Path) -> None:
    file_system = os.statvfs(tmp_path)
    assert store.space().used_bytes == 0
    store.write(0, bytes(65536))
    store.flush()
    space = store.space()
    assert 65536 <= space.used_bytes < 2 * MIB
    assert 0 < space.available_bytes <= file_system.f_blocks * file_system.f_frsize
    assert space.shared


def _code(caught: "pytest.ExceptionInfo[OSError]") -> int | None:
    return caught.value.errno


def test_opening_changes_neither_size_nor_space(tmp_path: Path) -> None:
    for _ in range(2):
        _make(tmp_path).close()
        status = os.stat(tmp_path / "disk.img")
        assert (status.st_size, status.st_blocks) == (2 * MIB, 0)


def test_space_is_taken_when_written_and_given_back_when_unmapped(store: FileStore, tmp_path: Path) -> None:
    store.write(0, b"x" * MIB)
    store.flush()
    assert os.stat(tmp_path / "disk.img").st_blocks * 512 >= MIB
    assert list(store.extents(0, 2 * MIB)) == [Extent(0, MIB, True), Extent(MIB, MIB, False)]
    store.unmap(0, MIB)
    assert list(store.extents(0, 2 * MIB)) == [Extent(0, 2 * MIB, False)]


def test_preallocated_space_stays(tmp_path: Path) -> None:
    store = _make(tmp_path, preallocate=True)
    assert not store.features() & (Features.UNMAP | Features.EXTENTS)
    store.resize(4 * MIB)
    store.write_zeroes(0, 4 * MIB)
    store.close()
    assert os.stat(tmp_path / "disk.img").st_blocks * 512 >= 4 * MIB


def test_a_preallocated_file_that_can_not_grow_keeps_its_size(tmp_path: Path, mocker: MockerFixture) -> None:
    store = _make(tmp_path, preallocate=True)
    mocker.patch("os.posix_fallocate", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        store.resize(4 * MIB)
    assert store.size_bytes == os.stat(tmp_path / "disk.img").st_size == 2 * MIB
    store.close()


def test_a_second_writer_is_refused(store: FileStore, tmp_path: Path) -> None:
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"disk.img is locked by this process"):
            FileStore(FileOptions(path=tmp_path / "disk.img", read_only=read_only))


def test_a_failure_while_opening_closes_the_file(tmp_path: Path, mocker: MockerFixture) -> None:
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    mocker.patch("tgtcore_file.file.can_zero_range", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        _make(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_empty_file_is_no_image(tmp_path: Path) -> None:
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match="empty is empty; expected an image of the size that the disk shall have"):
        FileStore(FileOptions(path=tmp_path / "empty"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_file_is_not_inherited_by_programs_that_are_started(store: FileStore, tmp_path: Path) -> None:
    store.write(0, CONTENT)
    assert store.region(4096, 65536) is not None
    fds = [int(name) for name in os.listdir("/proc/self/fd")]
    ours = [fd for fd in fds if os.path.realpath(f"/proc/self/fd/{fd}") == str(tmp_path / "disk.img")]
    assert [os.get_inheritable(fd) for fd in ours] == [False, False]


def test_a_file_that_was_made_shorter_is_an_error_and_never_zeroes(store: FileStore, tmp_path: Path) -> None:
    store.write(0, b"x" * MIB)
    os.truncate(tmp_path / "disk.img", 65536 + 100)
    assert store.read_nowait(65536, 4096) is None
    region = store.region(65536, 65536)  # the page cache may not have noticed yet: whoever sends it meets the end
    assert region is None or len(os.pread(region.fd, len(region), region.offset)) == 100
    for offset in (65536, MIB):
        with pytest.raises(OSError, match=r"ends at byte .* expected 2097152 bytes: it was made shorter") as caught:
            store.read(offset, 4096)
        assert _code(caught) == errno.EIO
    assert store.read(0, 65536) == b"x" * 65536


def test_short_reads_and_writes_are_continued(store: FileStore, mocker: MockerFixture) -> None:
    pread, pwritev = os.pread, os.pwritev
    mocker.patch("os.pread", side_effect=lambda fd, length, offset: pread(fd, min(length, 1000), offset))
    mocker.patch(
        "os.pwritev", side_effect=lambda fd, buffers, offset, flags: pwritev(fd, [buffers[0][:700]], offset, flags)
    )
    store.write(1, CONTENT[:4096])
    store.write_through(5000, CONTENT[:4096])
    assert store.read(1, 4096) == store.read(5000, 4096) == CONTENT[:4096]


def test_a_file_that_takes_nothing_is_an_error(store: FileStore, mocker: MockerFixture) -> None:
    mocker.patch("os.pwritev", return_value=0)
    with pytest.raises(OSError, match="took nothing of 4096 bytes at offset 512") as caught:
        store.write(512, bytes(4096))
    assert _code(caught) == errno.EIO


@pytest.mark.parametrize("answer", [BlockingIOError(errno.EAGAIN, "again"), OSError(errno.EIO, "error"), [4095]])
def test_inline_reads_that_do_not_come_at_once_are_left_to_the_workers(
    store: FileStore, mocker: MockerFixture, answer: Any
) -> None:
    mocker.patch("os.preadv", side_effect=answer)
    assert store.read_nowait(0, 4096) is None


@pytest.mark.parametrize("cached", [True, False])
def test_without_nowait_reads_the_page_cache_is_asked(tmp_path: Path, mocker: MockerFixture, cached: bool) -> None:
    preadv = mocker.patch("os.preadv", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    mocker.patch.object(PageCache, "holds", return_value=cached)
    store = _make(tmp_path)
    store.write(0, CONTENT[:4096])
    for _ in range(2):
        assert store.read_nowait(0, 4096) == (CONTENT[:4096] if cached else None)
    preadv.assert_called_once()
    store.close()


def test_regions_are_long_ranges_in_memory(store: FileStore, mocker: MockerFixture) -> None:
    store.write(0, CONTENT)
    assert store.region(MIB - 4096, 65536) is None, "half of it is a hole"
    region = store.region(4096, 65536)
    assert region is not None
    assert os.pread(region.fd, len(region), region.offset) == CONTENT[4096 : 4096 + 65536]
    assert store.region(0, 32767) is None
    mocker.patch("tgtcore_file.syscalls._syscall", return_value=-1)
    assert store.region(4096, 65536) is None


def test_the_last_descriptors_are_not_taken_to_send_from(store: FileStore, mocker: MockerFixture) -> None:
    store.write(0, CONTENT)
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    scarce = mocker.patch("resource.getrlimit", return_value=(8, 8))
    assert store.region(4096, 65536) is None
    assert len(os.listdir("/proc/self/fd")) == before
    mocker.stop(scarce)
    mocker.patch("os.open", side_effect=OSError(errno.EMFILE, "Too many open files"))
    assert store.region(4096, 65536) is None


def test_a_file_is_open_once_until_something_is_sent_from_it(store: FileStore) -> None:
    store.write(0, CONTENT)
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    assert [store.region(4096, 65536) is None for _ in range(2)] == [False, False]
    assert len(os.listdir("/proc/self/fd")) == before + 1


def test_a_region_outlives_its_store_and_nothing_else_of_it(tmp_path: Path) -> None:
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    store = _make(tmp_path)
    store.write(0, CONTENT)
    region = store.region(0, 65536)
    assert region is not None
    store.close()
    (tmp_path / "other.img").write_bytes(b"other" * MIB)
    other = FileStore(FileOptions(path=tmp_path / "other.img"))
    again = FileStore(FileOptions(path=tmp_path / "disk.img"))
    part = region.part(4096, 8192)
    del region
    assert os.pread(part.fd, len(part), part.offset) == CONTENT[4096 : 4096 + 8192]
    again.close()
    other.close()
    del part
    assert len(os.listdir("/proc/self/fd")) == before


def test_inline_writes_ask_not_to_wait_where_that_works(store: FileStore, mocker: MockerFixture) -> None:
    pwritev = mocker.patch("os.pwritev", side_effect=[4096, BlockingIOError(errno.EAGAIN, "again"), 512])
    assert [store.write_nowait(0, bytes(4096)) for _ in range(3)] == [True, False, False]
    assert all(call.args[3] == os.RWF_NOWAIT for call in pwritev.mock_calls)


def test_inline_writes_go_on_plainly_where_it_does_not(store: FileStore, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_file.file.monotonic", return_value=100.0)  # no write is slow
    pwritev = mocker.patch("os.pwritev", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    assert store.write_nowait(0, CONTENT[:4096])
    assert store.write_nowait(4096, CONTENT[4096:8192])
    pwritev.assert_called_once()
    assert store.read(0, 8192) == CONTENT[:8192]


def test_errors_of_inline_writes_are_raised(store: FileStore, mocker: MockerFixture) -> None:
    mocker.patch("os.pwritev", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        store.write_nowait(0, bytes(4096))


def test_long_writes_are_for_the_workers(store: FileStore) -> None:
    assert store.write_nowait(0, bytes(65537)) is False


def test_part_of_a_page_that_is_not_in_memory_is_for_the_workers(store: FileStore, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_file.file.monotonic", return_value=100.0)  # no write is slow
    mocker.patch("os.pwritev", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    holds = mocker.patch.object(PageCache, "holds", return_value=False)
    assert store.write_nowait(512, bytes(512)) is False
    assert store.write_nowait(4096, bytes(4096)) is True
    holds.return_value = True
    assert store.write_nowait(512, bytes(512)) is True


def test_after_a_slow_inline_write_there_is_a_pause(store: FileStore, mocker: MockerFixture) -> None:
    mocker.patch("os.pwritev", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    clock = mocker.patch("tgtcore_file.file.monotonic")
    for times, done in [
        ([100.0, 100.001], True),  # quick
        ([101.0, 101.003], True),  # slow: 0.3 s without
        ([101.2], False),
        ([101.4, 102.4], True),  # very slow: a second without
        ([103.3], False),
        ([103.5, 103.5], True),
    ]:
        clock.side_effect = times
        assert store.write_nowait(0, bytes(4096)) is done


def test_a_failed_flush_is_never_forgotten(store: FileStore, tmp_path: Path, mocker: MockerFixture) -> None:
    failing = mocker.patch("os.fdatasync", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        store.flush()
    mocker.stop(failing)
    store.write(0, b"x")
    with pytest.raises(OSError, match=r"disk.img: an earlier flush failed"):
        store.flush()
    with pytest.raises(OSError, match=r"disk.img: an earlier flush failed"):
        store.write_through(0, b"x")
    store.close()
    again = _make(tmp_path)
    again.flush()
    store._fd = os.dup(again._fd)  # for the fixture to close
    again.close()


def _dsync(answer: OSError | None, mocker: MockerFixture) -> Any:
    """Let writes with RWF_DSYNC end with an error; others are done."""
    pwritev = os.pwritev

    def call(fd: int, buffers: Any, offset: int, flags: int) -> int:
        if flags & os.RWF_DSYNC and answer:
            raise answer
        return pwritev(fd, buffers, offset, flags)

    return mocker.patch("os.pwritev", side_effect=call)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_data_lost_on_its_way_to_the_medium_fails_later_flushes(
    store: FileStore, mocker: MockerFixture, code: int
) -> None:
    _dsync(OSError(code, os.strerror(code)), mocker)
    with pytest.raises(OSError, match=os.strerror(code)):
        store.write_through(0, bytes(512))
    with pytest.raises(OSError, match=f"an earlier flush failed .{os.strerror(code)}"):
        store.flush()


def test_data_that_was_never_taken_does_not(store: FileStore, mocker: MockerFixture) -> None:
    mocker.patch("os.pwritev", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left") as caught:
        store.write_through(0, bytes(512))
    assert _code(caught) == errno.ENOSPC
    store.flush()


def test_without_durable_writes_the_file_is_flushed(store: FileStore, mocker: MockerFixture) -> None:
    pwritev = _dsync(OSError(errno.EOPNOTSUPP, "Operation not supported"), mocker)
    fdatasync = mocker.spy(os, "fdatasync")
    for times in (1, 2):
        store.write_through(0, CONTENT[:512])
        assert fdatasync.call_count == times
    assert [call.args[3] for call in pwritev.mock_calls] == [0, os.RWF_DSYNC, 0], "it is asked once"
    assert store.read(0, 512) == CONTENT[:512]


def test_a_file_that_was_made_shorter_can_not_be_flushed(store: FileStore, tmp_path: Path) -> None:
    store.write(MIB, b"x" * 512)
    os.truncate(tmp_path / "disk.img", MIB)
    with pytest.raises(OSError, match="it was made shorter while in use") as caught:
        store.flush()
    assert _code(caught) == errno.EIO
    os.truncate(tmp_path / "disk.img", 2 * MIB)
    with pytest.raises(OSError, match="an earlier flush failed"):
        store.flush()


def test_a_resized_file_can_be_flushed(store: FileStore) -> None:
    for size_bytes in (MIB, 4 * MIB, 512):
        store.resize(size_bytes)
        store.flush()
    assert store.size_bytes == 512


@pytest.mark.parametrize("how", ["unmap", "write_zeroes"])
def test_what_can_not_be_cleared_is_overwritten(store: FileStore, mocker: MockerFixture, how: str) -> None:
    store.write(0, CONTENT)
    mocker.patch("tgtcore_file.file.fallocate", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    getattr(store, how)(100, MIB - 200)
    assert store.read(0, MIB) == CONTENT[:100] + bytes(MIB - 200) + CONTENT[-100:]


@pytest.mark.parametrize("how", ["unmap", "write_zeroes"])
def test_other_failures_to_clear_are_errors(store: FileStore, mocker: MockerFixture, how: str) -> None:
    mocker.patch("tgtcore_file.file.fallocate", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        getattr(store, how)(0, 4096)


def test_what_the_file_system_can_not_do_is_not_offered(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_file.probes.fallocate", side_effect=OSError(errno.EOPNOTSUPP, "not supported"))
    store = _make(tmp_path)
    assert store.features() == Features.WRITE | Features.WRITE_THROUGH | Features.EXTENTS | Features.RESIZE
    store.close()


def test_a_file_opened_for_reading_offers_no_writes(tmp_path: Path) -> None:
    _make(tmp_path).close()
    store = FileStore(FileOptions(path=tmp_path / "disk.img", read_only=True))
    assert store.features() == Features.EXTENTS
    store.close()


def test_only_a_file_that_was_made_is_unmade_and_silently(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "disk.img"
    for there in (False, True):
        store = FileStore(FileOptions(path=path, create=True, size=4096))
        store.unmake()
        store.flush()
        store.close()
        assert path.exists() is there
        path.write_bytes(bytes(4096))
    assert caplog.records == []


@pytest.mark.parametrize("read_only", [False, True])
def test_readers_are_admitted_and_writers_still_not(tmp_path: Path, read_only: bool) -> None:
    _make(tmp_path).close()
    store = FileStore(FileOptions(path=tmp_path / "disk.img", read_only=read_only))
    store.admit_readers()
    with (tmp_path / "disk.img").open("r+b") as other, pytest.raises(StoreError, match="is locked by this process"):
        lock_file(other.fileno(), tmp_path / "disk.img", FileLock.WRITER)
    store.close()
