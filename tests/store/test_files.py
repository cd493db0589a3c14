import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tgtcore import FileLock, StoreError, make_file, name_file, open_file, unmake_file


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


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
def test_only_files_and_devices_are_open_file(tmp_path: Path, make: Callable[[Path], None], kind: str) -> None:
    make(tmp_path / "it")
    with pytest.raises(StoreError, match=rf"it is {kind}; expected a file or a block device"):
        open_file(tmp_path / "it", FileLock.READER)


def test_a_character_device_is_not_even_open_file(mocker: MockerFixture) -> None:
    opening = mocker.spy(os, "open")
    with pytest.raises(StoreError, match="/dev/null is a character device"):
        open_file(Path("/dev/null"), FileLock.WRITER)
    assert all(call.args[1] & os.O_PATH for call in opening.call_args_list)


def test_who_admits_files_hears_where_they_really_are(image: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(image)
    heard: list[tuple[Path, int]] = []
    os.close(
        open_file(tmp_path / "link", FileLock.READER, admit=lambda real, status: heard.append((real, status.st_ino)))
    )
    assert heard == [(image.resolve(), image.stat().st_ino)]


def test_what_is_not_admitted_is_not_open_file(image: Path, mocker: MockerFixture) -> None:
    def refuse(real: Path, status: os.stat_result) -> None:
        raise StoreError(f"{real} is not for you")

    opening = mocker.spy(os, "open")
    with pytest.raises(StoreError, match=r"disk.img is not for you"):
        open_file(image, FileLock.READER, admit=refuse)
    assert all(call.args[1] & os.O_PATH for call in opening.call_args_list)


def test_a_file_that_takes_the_name_meanwhile_is_not_open_file(image: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")

    def swap(real: Path, status: os.stat_result) -> None:
        image.unlink()
        image.symlink_to(tmp_path / "secret")

    fd = open_file(image, FileLock.READER, admit=swap)
    assert os.pread(fd, 10, 0) == b"x"
    os.close(fd)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "its file system is read-only; use another"),
        (errno.EBUSY, "the system uses it .*; expected a device that nobody uses"),
        (errno.EMFILE, "this process has as many files open as it may; raise LimitNOFILE= .*"),
        (errno.ENAMETOOLONG, "file name too long"),
    ],
)
def test_why_a_file_can_not_be_open_file(image: Path, mocker: MockerFixture, code: int, reason: str) -> None:
    mocker.patch("os.open", side_effect=OSError(code, os.strerror(code)))
    with pytest.raises(StoreError, match=rf"disk.img can't be opened: {reason}$"):
        open_file(image, FileLock.WRITER, advice={errno.EROFS: "use another"})


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        ("open", errno.EACCES, "permission denied; expected a folder that may be written to"),
        ("open", errno.EROFS, "its file system is read-only; expected one that may be written"),
        ("ftruncate", errno.ENOSPC, "no space left on its file system"),
        ("ftruncate", errno.EFBIG, "so large a file does not fit on its file system"),
        ("fsync", errno.EIO, "input/output error"),
    ],
)
def test_why_a_file_can_not_be_made_and_then_nothing_is_left(
    tmp_path: Path, mocker: MockerFixture, call: str, code: int, reason: str
) -> None:
    mocker.patch(f"os.{call}", side_effect=OSError(code, os.strerror(code)))
    with pytest.raises(StoreError, match=rf"new.img can't be made: {reason}$"):
        make_file(tmp_path / "new.img", FileLock.ALONE, lambda fd: os.ftruncate(fd, 4096))
    mocker.stopall()
    assert not list(tmp_path.iterdir())


def test_a_new_file_is_private_and_not_inherited_and_has_what_it_was_filled_with(tmp_path: Path) -> None:
    fd = make_file(tmp_path / "new.img", FileLock.ALONE, lambda fd: os.ftruncate(fd, 4096))
    status = os.fstat(fd)
    assert (status.st_size, status.st_mode & 0o777) == (4096, 0o600)
    assert not os.get_inheritable(fd)
    with pytest.raises(StoreError, match=r"new.img can't be made: there is such a file already"):
        make_file(tmp_path / "new.img", FileLock.ALONE)
    with pytest.raises(StoreError, match=r"new.img is locked by this process"):
        open_file(tmp_path / "new.img", FileLock.READER)
    os.close(fd)


def test_a_new_file_and_its_name_are_durable(tmp_path: Path, mocker: MockerFixture) -> None:
    synced: list[str] = []
    mocker.patch("os.fsync", side_effect=lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    os.close(make_file(tmp_path / "new.img", FileLock.ALONE, lambda fd: os.ftruncate(fd, 4096)))
    assert synced == [str(tmp_path / "new.img"), str(tmp_path)]


def test_a_file_of_another_that_has_taken_the_name_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "new.img"
    fd = make_file(path, FileLock.ALONE)
    unmake_file(fd, path)
    assert not path.exists()
    path.write_bytes(b"another file")
    unmake_file(fd, path)
    assert path.read_bytes() == b"another file"
    os.close(fd)


@pytest.mark.parametrize(("lock", "flags"), [(FileLock.READER, 0), (FileLock.WRITER, os.O_EXCL)])
def test_a_device_that_is_written_is_in_nobody_elses_use(
    image: Path, mocker: MockerFixture, lock: FileLock, flags: int
) -> None:
    mocker.patch("stat.S_ISREG", return_value=False)
    mocker.patch("stat.S_ISBLK", return_value=True)
    opening = mocker.spy(os, "open")
    os.close(open_file(image, lock))
    assert [call.args[1] & os.O_EXCL for call in opening.call_args_list] == [0, flags]


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none can't be opened: no such file") as caught:
        open_file(tmp_path / "none", FileLock.READER)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(StoreError, match=r"can't be opened: .*embedded null"):
        open_file(tmp_path / "a\0b", FileLock.READER)
    with pytest.raises(StoreError, match="none/new can't be made: its folder does not exist"):
        make_file(tmp_path / "none" / "new", FileLock.WRITER)


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
            files.append(open_file(path, one))
        return len(files)
    finally:
        for fd in files:
            os.close(fd)


@pytest.mark.parametrize("failing", ["lock_file", "_sync_folder"])
def test_a_file_that_can_not_be_made_right_is_not_left_behind(
    tmp_path: Path, mocker: MockerFixture, failing: str
) -> None:
    mocker.patch(f"tgtcore.store.files.{failing}", side_effect=StoreError("no"))
    with pytest.raises(StoreError, match="no"):
        make_file(tmp_path / "new.img", FileLock.WRITER)
    assert not list(tmp_path.iterdir())


def test_a_file_gets_its_name_and_takes_nobodys_place(tmp_path: Path) -> None:
    os.close(make_file(tmp_path / "part", FileLock.WRITER))
    (tmp_path / "there").write_bytes(b"precious")
    with pytest.raises(StoreError, match="there can't be made: there is such a file already"):
        name_file(tmp_path / "part", tmp_path / "there")
    name_file(tmp_path / "part", tmp_path / "whole")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["there", "whole"]
    assert (tmp_path / "there").read_bytes() == b"precious"
