import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.locks import lock

from tgtcore import StoreError

_HOLD = """
import os, sys
from pathlib import Path
from tgtcore_file.locks import lock
path, read_only = Path(sys.argv[1]), sys.argv[2] == "r"
lock(os.open(path, os.O_RDONLY if read_only else os.O_RDWR), path, read_only=read_only)
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def _held_elsewhere(path: Path, mode: str) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, path, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        try:
            assert holder.stdout.readline() == "locked\n"
            yield holder.pid
        finally:
            holder.kill()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x")
    return path


@contextmanager
def _open(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize(("theirs", "read_only"), [("w", False), ("w", True), ("r", False)])
def test_another_process_excludes_us_and_is_named(image: Path, theirs: str, read_only: bool) -> None:
    wanted = "nobody who writes to it" if read_only else "to have it alone"
    with _held_elsewhere(image, theirs) as pid, _open(image) as fd:
        message = rf"disk.img is locked by process {pid} \(.+\); expected {wanted}$"
        with pytest.raises(StoreError, match=message):
            lock(fd, image, read_only=read_only)


def test_readers_share(image: Path) -> None:
    with _held_elsewhere(image, "r"), _open(image) as fd:
        lock(fd, image, read_only=True)
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_the_lock_ends_with_its_process(image: Path) -> None:
    with _held_elsewhere(image, "w"):
        pass
    with _open(image) as fd, _open(image) as second:
        lock(fd, image, read_only=False)
        with pytest.raises(StoreError, match=rf"locked by this process \({os.getpid()}\)"):
            lock(second, image, read_only=False)


def test_a_holder_that_the_kernel_names_is_taken_at_its_word(image: Path, mocker: MockerFixture) -> None:
    with _held_elsewhere(image, "w") as pid, _open(image) as fd:
        answer = bytearray(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _wanted()))
        answer[24:28] = pid.to_bytes(4, sys.byteorder)
        mocker.patch("fcntl.fcntl", side_effect=[BlockingIOError(11, "again"), bytes(answer)])
        with pytest.raises(StoreError, match=f"process {pid} "):
            lock(fd, image, read_only=False)


def _wanted() -> bytes:
    return fcntl.F_WRLCK.to_bytes(2, sys.byteorder) + bytes(30)


def test_a_holder_that_nobody_can_see_is_another_program(image: Path, mocker: MockerFixture) -> None:
    with _open(image) as fd:
        mocker.patch("fcntl.fcntl", side_effect=BlockingIOError(11, "again"))
        with pytest.raises(StoreError, match="locked by another program; expected to have it alone"):
            lock(fd, image, read_only=False)


def test_a_file_system_without_locks_is_an_error(image: Path, mocker: MockerFixture) -> None:
    with _open(image) as fd:
        mocker.patch("fcntl.fcntl", side_effect=OSError(37, "No locks available"))
        with pytest.raises(StoreError, match=r"can't be locked: No locks available; expected a file system with locks"):
            lock(fd, image, read_only=False)
