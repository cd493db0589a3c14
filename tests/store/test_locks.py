import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tgtcore import FileLock, StoreError, admit_readers, lock_file

READER, WRITER, ALONE = FileLock
FLOCK = struct.Struct("@hhqqi4x")
QEMU_WRITES_QCOW2 = "100 101 103 201 203"
QEMU_READS_QCOW2 = "100 201 203"
QEMU_WRITES_RAW = "100 101"
QEMU_READS_AT_ITS_OWN_RISK = "100"
"""The bytes that QEMU 7.2 has locked for reading."""

_HOLD = """
import os, sys
from pathlib import Path
from tgtcore import FileLock, lock_file
path, kind = Path(sys.argv[1]), FileLock[sys.argv[2]]
lock_file(os.open(path, os.O_RDONLY if kind is FileLock.READER else os.O_RDWR), path, kind)
print("locked", flush=True)
sys.stdin.read()
"""
_HOLD_BYTES = """
import fcntl, os, struct, sys
fd, how = os.open(sys.argv[1], os.O_RDWR), getattr(fcntl, sys.argv[3])
for start in sys.argv[2].split():
    length = 1 if int(start) else 0
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("@hhqqi4x", how, 0, int(start), length, 0))
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def _running(script: str, *arguments: str | Path) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        try:
            assert holder.stdout.readline() == "locked\n"
            yield holder.pid
        finally:
            holder.kill()


def _held_elsewhere(path: Path, kind: FileLock) -> AbstractContextManager[int]:
    return _running(_HOLD, path, kind.name)


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


def _refused(fd: int, path: Path, kind: FileLock, by: str = "process") -> None:
    wanted = "nobody who writes to it" if kind is READER else "to have it alone"
    with pytest.raises(StoreError, match=rf"disk.img is locked by {by}.*; expected {wanted}$"):
        lock_file(fd, path, kind)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(theirs, ours) for theirs in FileLock for ours in FileLock if theirs is not READER or ours is not READER],
)
def test_another_process_excludes_us_and_is_named(image: Path, theirs: FileLock, ours: FileLock) -> None:
    with _held_elsewhere(image, theirs) as pid, _open(image) as fd:
        _refused(fd, image, ours, rf"process {pid} \(.+\)")
        assert "OFDLCK" not in Path(f"/proc/self/fdinfo/{fd}").read_text(), "who is refused is in nobody's way"


def test_readers_share(image: Path) -> None:
    with _held_elsewhere(image, READER), _open(image) as fd:
        lock_file(fd, image, READER)
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


@pytest.mark.parametrize(
    ("theirs", "excluded"),
    [
        (QEMU_WRITES_QCOW2, {READER, WRITER, ALONE}),
        (QEMU_WRITES_RAW, {READER, WRITER, ALONE}),
        (QEMU_READS_QCOW2, {WRITER, ALONE}),
        (QEMU_READS_AT_ITS_OWN_RISK, {ALONE}),
        ("102", {ALONE}),
        ("150", set()),
    ],
)
def test_what_qemu_does_with_the_image_is_respected(image: Path, theirs: str, excluded: set[FileLock]) -> None:
    with _running(_HOLD_BYTES, image, theirs, "F_RDLCK") as pid:
        for kind in FileLock:
            with _open(image) as fd:
                if kind in excluded:
                    _refused(fd, image, kind, f"process {pid} ")
                else:
                    lock_file(fd, image, kind)


@pytest.mark.parametrize("kind", FileLock)
def test_who_locks_the_whole_file_excludes_us(image: Path, kind: FileLock) -> None:
    with _running(_HOLD_BYTES, image, "0", "F_WRLCK") as pid, _open(image) as fd:
        _refused(fd, image, kind, f"process {pid} ")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (READER, [100, 201, 203]),
        (WRITER, [100, 101, 103, 201, 203]),
        (ALONE, [100, 101, 103, 200, 201, 202, 203]),
    ],
)
def test_qemu_sees_what_we_do_with_the_image(image: Path, kind: FileLock, expected: list[int]) -> None:
    with _open(image) as fd, _open(image) as theirs:
        lock_file(fd, image, kind)
        assert [byte for byte in range(300) if _conflicts(theirs, byte)] == expected


def _conflicts(fd: int, byte: int) -> bool:
    asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    return bool(FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)


def test_only_who_is_in_the_way_is_named(image: Path) -> None:
    with (
        _running(_HOLD_BYTES, image, QEMU_READS_AT_ITS_OWN_RISK, "F_RDLCK"),
        _held_elsewhere(image, WRITER) as writer,
        _open(image) as fd,
    ):
        _refused(fd, image, READER, rf"process {writer} \([^,]+\)")


def test_the_lock_ends_with_its_process(image: Path) -> None:
    with _held_elsewhere(image, ALONE):
        pass
    with _open(image) as fd, _open(image) as second:
        lock_file(fd, image, ALONE)
        _refused(second, image, ALONE, rf"this process \({os.getpid()}\)")


def test_a_holder_that_the_kernel_names_is_taken_at_its_word(image: Path) -> None:
    """Locks of a process, not of an open file."""
    script = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX, 1, 101)
print("locked", flush=True)
sys.stdin.read()
"""
    with _running(script, image) as pid, _open(image) as fd:
        _refused(fd, image, READER, f"process {pid} ")


def test_a_holder_that_nobody_can_see_is_another_program(image: Path, mocker: MockerFixture) -> None:
    with _held_elsewhere(image, ALONE), _open(image) as fd:
        mocker.patch("tgtcore.store.locks.Path.glob", return_value=[])
        _refused(fd, image, ALONE, "another program")


def test_a_file_system_without_locks_is_an_error(image: Path, mocker: MockerFixture) -> None:
    with _open(image) as fd:
        mocker.patch("fcntl.fcntl", side_effect=OSError(37, "No locks available"))
        with pytest.raises(StoreError, match=r"can't be locked: No locks available; expected a file system with locks"):
            lock_file(fd, image, ALONE)


def test_who_has_a_file_alone_can_let_others_read_at_their_own_risk(image: Path) -> None:
    with _open(image) as fd, _open(image) as other, _open(image) as reader:
        lock_file(fd, image, ALONE)
        admit_readers(fd)
        for kind in FileLock:
            _refused(other, image, kind, "this process")
        fcntl.fcntl(reader, fcntl.F_OFD_SETLK, FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 100, 1, 0))
        asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 200, 1, 0)
        assert FLOCK.unpack(fcntl.fcntl(reader, fcntl.F_OFD_GETLK, asked))[0] == fcntl.F_UNLCK
