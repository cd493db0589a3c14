import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_cow.files.opening import made, opened

from tgtcore import FileLock, StoreError


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x")
    return path


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Path.mkdir, "a directory"), (os.mkfifo, "a named pipe"), (_socket, "a socket")],
)
def test_only_files_and_devices_are_opened(tmp_path: Path, make: Callable[[Path], None], kind: str) -> None:
    make(tmp_path / "it")
    with pytest.raises(StoreError, match=rf"it is {kind}; expected a file or a block device"):
        opened(tmp_path / "it", FileLock.READER)


def test_a_character_device_is_not_even_opened(mocker: MockerFixture) -> None:
    opening = mocker.spy(os, "open")
    with pytest.raises(StoreError, match="/dev/null is a character device"):
        opened(Path("/dev/null"), FileLock.WRITER)
    assert all(call.args[1] & os.O_PATH for call in opening.call_args_list)


def test_who_admits_files_hears_where_they_really_are(image: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(image)
    heard: list[tuple[Path, int]] = []
    os.close(opened(tmp_path / "link", FileLock.READER, lambda real, status: heard.append((real, status.st_ino))))
    assert heard == [(image.resolve(), image.stat().st_ino)]


def test_what_is_not_admitted_is_not_opened(image: Path, mocker: MockerFixture) -> None:
    def refuse(real: Path, status: os.stat_result) -> None:
        raise StoreError(f"{real} is not for you")

    opening = mocker.spy(os, "open")
    with pytest.raises(StoreError, match=r"disk.img is not for you"):
        opened(image, FileLock.READER, refuse)
    assert all(call.args[1] & os.O_PATH for call in opening.call_args_list)


def test_a_file_that_takes_the_name_meanwhile_is_not_opened(image: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")

    def swap(real: Path, status: os.stat_result) -> None:
        image.unlink()
        image.symlink_to(tmp_path / "secret")

    fd = opened(image, FileLock.READER, swap)
    assert os.pread(fd, 10, 0) == b"x"
    os.close(fd)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "its file system is read-only; open it for reading only"),
        (errno.EMFILE, "this process has as many files open as it may"),
        (errno.ENAMETOOLONG, "file name too long"),
    ],
)
def test_why_a_file_can_not_be_opened(image: Path, mocker: MockerFixture, code: int, reason: str) -> None:
    mocker.patch("os.open", side_effect=OSError(code, os.strerror(code)))
    with pytest.raises(StoreError, match=rf"disk.img can't be opened: {reason}$"):
        opened(image, FileLock.WRITER)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none can't be opened: no such file"):
        opened(tmp_path / "none", FileLock.READER)
    with pytest.raises(StoreError, match=r"can't be opened: .*embedded null"):
        opened(tmp_path / "a\0b", FileLock.READER)
    with pytest.raises(StoreError, match="none/new can't be made: its folder does not exist"):
        made(tmp_path / "none" / "new", FileLock.WRITER)


def test_one_writes_or_many_read(image: Path) -> None:
    with pytest.raises(StoreError, match=r"disk.img is locked by this process .*; expected to have it alone"):
        _together(image, FileLock.READER, FileLock.WRITER)
    with pytest.raises(StoreError, match=r"disk.img is locked by this process .*; expected nobody who writes to it"):
        _together(image, FileLock.WRITER, FileLock.READER)
    assert _together(image, FileLock.READER, FileLock.READER, FileLock.READER) == 3


def _together(path: Path, *locks: FileLock) -> int:
    files: list[int] = []
    try:
        for one in locks:
            files.append(opened(path, one))
        return len(files)
    finally:
        for fd in files:
            os.close(fd)


@pytest.mark.parametrize("failing", ["lock_file", "_sync_folder"])
def test_a_file_that_can_not_be_made_right_is_not_left_behind(
    tmp_path: Path, mocker: MockerFixture, failing: str
) -> None:
    mocker.patch(f"tgtcore_cow.files.opening.{failing}", side_effect=StoreError("no"))
    with pytest.raises(StoreError, match="no"):
        made(tmp_path / "new.img", FileLock.WRITER)
    assert not list(tmp_path.iterdir())
