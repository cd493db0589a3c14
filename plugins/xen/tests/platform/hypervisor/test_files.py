"""Which parts of files are mapped, and for how long."""

import os
from pathlib import Path

import pytest
from tgtcore_xen.platform.hypervisor.files import BYTES_MIN, FILES_MAX, PART_BYTES, TIMES, Files

from tgtcore import OpenFile, Region

from .kernel import read_memory

END = 3 * PART_BYTES


def made(path: Path) -> OpenFile:
    """A file with a byte of its own at the beginning of each part, and one at its end; the rest are holes."""
    with path.open("wb") as file:
        for part in range(3):
            file.seek(part * PART_BYTES)
            file.write(bytes((part + 1,)))
        file.truncate(END)
    return OpenFile(os.open(path, os.O_RDONLY))


@pytest.fixture
def file(tmp_path: Path) -> OpenFile:
    return made(tmp_path / "file")


def mapped(folder: Path) -> int:
    """How many parts of files in a folder are mapped."""
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


def asked(files: Files, file: OpenFile, offset: int, length: int = 65536):
    """Ask until it is mapped."""
    for _ in range(max(TIMES, BYTES_MIN // length)):
        assert files.find(Region(file, offset, length)) is None
    shown = files.find(Region(file, offset, length))
    assert shown is not None
    return shown


def test_what_was_read_often_is_mapped(file: OpenFile, tmp_path: Path) -> None:
    files = Files()
    shown = asked(files, file, 0)
    assert mapped(tmp_path) == 1
    assert read_memory(shown.address, 2) == b"\1\0"
    again = files.find(Region(file, 4096, 8192))
    assert again.address == shown.address + 4096
    assert mapped(tmp_path) == 1


def test_a_piece_may_go_on_behind_the_part_that_it_begins_in(file: OpenFile) -> None:
    files = Files()
    assert read_memory(asked(files, file, PART_BYTES - 1).address, 2) == b"\0\2"
    asked(files, file, PART_BYTES - 4096, PART_BYTES)
    assert files.find(Region(file, PART_BYTES - 4096, PART_BYTES + 1)) is None


def test_what_is_read_once_is_not_mapped(file: OpenFile, tmp_path: Path) -> None:
    files, length = Files(), 4 << 20
    assert [files.find(Region(file, at, length)) for at in range(0, END, length)] == [None] * (END // length)
    assert mapped(tmp_path) == 0


def test_beside_what_is_read_often_others_are_read_until_they_are_that_too(file: OpenFile, tmp_path: Path) -> None:
    files, length = Files(), 4 << 20
    asked(files, file, 8 * length, length)
    every = [Region(file, at, length) for at in range(0, 16 * length, length)]
    assert [number for number, region in enumerate(every) if files.find(region) is not None] == [8]
    while files.find(every[-1]) is None:
        assert files.find(every[8]) is not None
    assert None not in [files.find(region) for region in every]
    assert mapped(tmp_path) == 1


def test_another_part_takes_its_place(file: OpenFile, tmp_path: Path) -> None:
    files = Files()
    asked(files, file, 0)
    assert read_memory(asked(files, file, 2 * PART_BYTES + 7).address - 7, 1) == b"\3"
    assert mapped(tmp_path) == 1
    asked(files, file, 0)


def test_who_reads_here_and_there_has_nothing_mapped(file: OpenFile, tmp_path: Path) -> None:
    files, length = Files(), 1 << 20
    for number in range(1000):
        assert files.find(Region(file, number % 3 * PART_BYTES, length)) is None
    assert mapped(tmp_path) == 0


def test_what_is_shown_stays_there_while_it_is_in_use(file: OpenFile, tmp_path: Path) -> None:
    files = Files()
    shown = asked(files, file, 0)
    asked(files, file, PART_BYTES)
    assert mapped(tmp_path) == 2
    assert read_memory(shown.address, 1) == b"\1"
    del shown
    assert mapped(tmp_path) == 1


def test_a_file_that_nobody_uses_any_more_is_let_go_of(tmp_path: Path) -> None:
    files, file = Files(), made(tmp_path / "file")
    shown = asked(files, file, 0)
    fd = file.fd
    del file
    assert mapped(tmp_path) == 1, "the piece keeps it open"
    del shown
    assert mapped(tmp_path) == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_of_many_files_the_newest_are_mapped(tmp_path: Path) -> None:
    files = Files()
    many = [made(tmp_path / str(number)) for number in range(FILES_MAX + 2)]
    for file in many:
        asked(files, file, 0)
    assert mapped(tmp_path) == FILES_MAX
    assert files.find(Region(many[-1], 0, 4096)) is not None
    asked(files, many[0], 0)
    assert mapped(tmp_path) == FILES_MAX


def test_what_can_not_be_mapped_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 4096)
    files, file = Files(), OpenFile(os.open(tmp_path / "file", os.O_WRONLY))
    assert {files.find(Region(file, 0, 1 << 20)) for _ in range(100)} == {None}
