import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.opening import opened
from tgtcore_file.options import FileOptions

from tgtcore import StoreError


def _open(path: Path, **keys: Any) -> int:
    return opened(FileOptions(path=path, **keys))[0]


def test_a_file_is_made_sparse_private_and_not_inherited(tmp_path: Path) -> None:
    fd = _open(tmp_path / "disk.img", create=True, size=1 << 40)
    status = os.fstat(fd)
    assert status.st_size == 1 << 40
    assert status.st_blocks * 512 < 1 << 20
    assert status.st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_preallocated_file_has_its_space(tmp_path: Path) -> None:
    fd = _open(tmp_path / "disk.img", create=True, size=1 << 20, preallocate=True)
    assert os.fstat(fd).st_blocks * 512 >= 1 << 20
    os.close(fd)


def test_a_file_that_is_there_keeps_its_size(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * 1000)
    fd = _open(path, create=True, size="1G")
    assert os.fstat(fd).st_size == 1000
    os.close(fd)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_missing_file_is_made_only_on_request(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "disk.img"
    with pytest.raises(StoreError, match=r"disk.img: no such file; expected an image or create = true with a size"):
        _open(path, read_only=read_only)
    assert not path.exists()


def test_nothing_is_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file; expected an image or read_only = false"):
        _open(tmp_path / "disk.img", create=True, size="1M", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"disk.img can't be made: its folder does not exist"):
        _open(tmp_path / "missing" / "disk.img", create=True, size="1M")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, "can't be opened: permission denied; expected one that may be read and written, or read_only"),
        (errno.EROFS, "can't be opened: its file system is read-only; expected one that may be written, or read_only"),
        (errno.EIO, "can't be opened: input/output error"),
    ],
)
def test_failures_to_open_say_what_to_do(tmp_path: Path, mocker: MockerFixture, code: int, message: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x")
    mocker.patch("os.open", side_effect=OSError(code, os.strerror(code)))
    with pytest.raises(StoreError, match=f"disk.img {message}"):
        _open(path)


def test_a_half_made_file_is_removed(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("os.posix_fallocate", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(StoreError, match=r"disk.img can't be made: no space left on its file system"):
        _open(tmp_path / "disk.img", create=True, size="1M", preallocate=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_is_never_removed(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x")
    mocker.patch("fcntl.fcntl", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(StoreError, match="can't be locked"):
        _open(path, create=True, size="1M")
    assert path.read_bytes() == b"x"
