import os
from pathlib import Path
from typing import Any

import pytest
from tgtcore_cow.overlay import scratch
from tgtcore_cow.overlay.scratch import Scratch

from tgtcore import StoreError

SIZE = 1 << 20


@pytest.fixture(params=["memory", "file"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Scratch:
    return Scratch(SIZE, None if request.param == "memory" else tmp_path)


def test_parts_are_written_one_behind_the_other(made: Scratch) -> None:
    made.write(100, [b"one", b"", bytearray(b"two"), memoryview(b"three")])
    assert made.read(98, 15) == b"\0\0onetwothree\0\0"


def test_a_write_that_the_system_does_in_pieces_is_done(made: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwritev

    def some(fd: int, parts: list[Any], offset: int) -> int:
        return whole(fd, [memoryview(parts[0])[:2]], offset)

    monkeypatch.setattr(os, "pwritev", some)
    made.write(0, [b"one", b"two"])
    assert made.read(0, 6) == b"onetwo"


def test_a_read_that_the_system_does_in_pieces_is_done(made: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    made.write(0, [b"onetwo"])
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: whole(fd, min(length, 4), offset))
    assert made.read(0, 6) == b"onetwo"


def test_a_file_that_ends_is_an_error(made: Scratch) -> None:
    with pytest.raises(OSError, match=f"the temporary file ends at byte {SIZE}"):
        made.read(SIZE - 2, 4)
    assert made.read_nowait(SIZE - 2, 4) is None


def test_space_is_given_back_and_reserved(made: Scratch) -> None:
    made.write(0, [b"x" * 8192])
    made.free(0, 4096)
    made.reserve(4096, 4096)
    assert made.read(0, 8192) == bytes(8192)


def test_what_is_in_memory_is_used_without_waiting() -> None:
    made = Scratch(SIZE, None)
    made.write(0, [b"x" * 65536])
    assert made.read_nowait(0, 4) == b"xxxx"
    assert made.writes_nowait(4096)
    assert not made.writes_nowait(1 << 20)
    assert made.region(0, 4096) is None
    region = made.region(0, 65536)
    assert region is not None
    assert os.pread(region.fd, 4, region.offset) == b"xxxx"


def test_a_write_to_a_folder_may_have_to_wait(tmp_path: Path) -> None:
    made = Scratch(SIZE, tmp_path)
    assert not made.writes_nowait(1)
    assert made.region(0, 65536) is None


def test_a_file_system_that_gives_no_space_back_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "punches_holes", lambda fd: False)
    with pytest.raises(StoreError, match=f"{tmp_path} is on a file system that can't give space back"):
        Scratch(SIZE, tmp_path)


def test_a_disk_that_is_too_large_for_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a temporary file of 9223372036854775807 bytes can't be made in"):
        Scratch((1 << 63) - 1, tmp_path)
