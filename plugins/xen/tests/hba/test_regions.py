"""A range of a file as data-in: the platform copies it from where it is, or it is read; if it can't be, the guest is told that."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.memory import Memory
from tgtcore_xen.platform.contract import Shown
from tgtcore_xen.platform.emulated.grants import STAGING_BYTES
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import Host, result

from tgtcore import OpenFile, Region
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing import host as core
from tgtcore.testing.host import content, read

if TYPE_CHECKING:
    from conftest import Bench, Watched

GOOD, CHECKED, BUSY = result(Host.OK), result(Host.OK, Status.CHECK_CONDITION), result(Host.OK, Status.BUSY)
ERROR = result(Host.ERROR)
LENGTH = 20_000
AT = 777
"""Where the device's data begins in its file: not where a page does, so it is read."""

both_ways = pytest.mark.parametrize("at", [pytest.param(AT, id="read"), pytest.param(4096, id="shown")], indirect=True)

Give = Callable[..., None]


@pytest.fixture
def at(request: pytest.FixtureRequest) -> int:
    """Where the device's data begins in its file."""
    found: int = getattr(request, "param", AT)
    return found


@pytest.fixture
def image(tmp_path: Path, at: int) -> Path:
    """A file whose content beginning there is what the device has."""
    path = tmp_path / "image"
    path.write_bytes(bytes(at) + content(3 * STAGING_BYTES))
    return path


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch, image: Path, at: int) -> Give:
    """Have the device answer reads with regions; of other files the next so many, if the test wants that."""

    def use(*others: Path) -> None:
        paths = list(others)

        def region(length: int) -> Region:
            return Region(OpenFile(os.open(paths.pop(0) if paths else image, os.O_RDONLY)), at, length)

        monkeypatch.setattr(core, "content", region)

    return use


def unreadable(response: Response, rqid: int, room: int) -> None:
    """It says that the medium is bad there, and that nothing has come."""
    assert (response.rqid, response.result, response.residual) == (rqid, CHECKED, room)
    sense = parse_sense(response.sense)
    assert (sense.key, sense.code) == (SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR)


def same_memory(copied: object, staging: memoryview) -> bool:
    return isinstance(copied, memoryview) and copied.obj is staging.obj


def delivered(bench: "Bench", watched: "Watched", room: int) -> tuple[object, int]:
    """Let the guest have as much as it has room for; where that was copied from, and how much it was."""
    segments = bench.front.segments(room, 1, 33)
    bench.front.fill(segments, b"." * room)
    moved = min(room, LENGTH)
    assert bench.ask(bench.front.command(1, read(LENGTH), segments)) == [Response(1, GOOD, room - moved)]
    assert bench.front.data(segments) == content(moved) + b"." * (room - moved)
    (copy,) = watched.copies
    bench.end()
    return copy.memory, moved


rooms = pytest.mark.parametrize("room", [LENGTH, LENGTH - 4097, LENGTH + 4097, 1])


@rooms
def test_it_is_read_to_where_the_platform_copies_from(
    bench: "Bench", watched: "Watched", give: Give, room: int
) -> None:
    give()
    memory, moved = delivered(bench, watched, room)
    assert same_memory(memory, bench.platform.grants._staging)
    assert isinstance(memory, memoryview)
    assert len(memory) == moved


@pytest.mark.parametrize("at", [4096 + 33], indirect=True)
@rooms
def test_it_is_copied_from_where_it_is(bench: "Bench", watched: "Watched", give: Give, at: int, room: int) -> None:
    give()
    memory, moved = delivered(bench, watched, room)
    assert isinstance(memory, Shown)
    assert (memory.region.offset, memory.region.length) == (at, moved)


@both_ways
def test_what_is_empty_is_not_copied(bench: "Bench", watched: "Watched", give: Give) -> None:
    give()
    segments = bench.front.segments(LENGTH)
    assert bench.ask(bench.front.command(1, read(0), segments)) == [Response(1, GOOD, LENGTH)]
    assert (watched.copies, bench.connection.figures.copy_calls) == ([], 0)
    bench.end()


@both_ways
def test_no_memory_stays_lent_for_what_can_not_be_read(bench: "Bench", give: Give, tmp_path: Path) -> None:
    grants = bench.platform.grants
    give(tmp_path)
    unreadable(bench.ask(bench.front.command(1, read(LENGTH), bench.front.segments(LENGTH)))[0], 1, LENGTH)
    assert grants.room(STAGING_BYTES) is not None
    bench.end()


def test_as_many_as_come_together(bench: "Bench", watched: "Watched", give: Give) -> None:
    """More than there is fast memory for, and not all of them are regions."""
    give()
    front, length, count = bench.front, 26 * 4096, 6
    assert count * length > STAGING_BYTES
    segments = front.segments(length)
    requests = [front.command(rqid, read(length - rqid), segments) for rqid in range(count)]
    assert bench.ask(*requests) == [Response(rqid, GOOD, rqid) for rqid in range(count)]
    assert bench.connection.figures.copy_calls == 1
    staging = bench.platform.grants._staging
    assert [same_memory(copy.memory, staging) for copy in watched.copies] == [True, True, False, False, False, False]
    assert front.data(segments)[: length - count] == content(length - count)
    watched.copies.clear()
    assert bench.ask(requests[0]) == [Response(0, GOOD)]
    assert same_memory(watched.copies[0].memory, staging), "it is lent again"
    bench.end()


@pytest.mark.parametrize("left", [None, 0, 1, LENGTH - 1])
@both_ways
def test_a_file_that_has_become_shorter(bench: "Bench", give: Give, tmp_path: Path, at: int, left: int | None) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"" if left is None else bytes(at + left))
    give(short)
    segments = bench.front.segments(LENGTH)
    bench.front.fill(segments, b"." * LENGTH)
    (response,) = bench.ask(bench.front.command(1, read(LENGTH), segments))
    unreadable(response, 1, LENGTH)
    assert bench.front.data(segments) == b"." * LENGTH
    assert bench.ask(bench.front.command(1, read(LENGTH), segments)) == [Response(1, GOOD)]
    bench.end()


@both_ways
def test_only_what_the_guest_has_room_for_has_to_be_there(bench: "Bench", give: Give, tmp_path: Path, at: int) -> None:
    short = tmp_path / "short"
    short.write_bytes(bytes(at) + content(512))
    give(short)
    segments = bench.front.segments(512)
    assert bench.ask(bench.front.command(1, read(LENGTH), segments)) == [Response(1, GOOD)]
    assert bench.front.data(segments) == content(512)
    bench.end()


@both_ways
def test_one_that_can_not_be_read_is_no_trouble_to_others(
    bench: "Bench", give: Give, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder can be opened, and reading from it fails."""
    give(tmp_path)
    front = bench.front
    bad, good, last = (front.segments(LENGTH, page) for page in (0, 8, 16))
    front.fill(bad, b"." * LENGTH)
    first, *others = bench.ask(
        front.command(1, read(LENGTH), bad), front.command(2, read(LENGTH), good), front.command(3, read(99), last)
    )
    unreadable(first, 1, LENGTH)
    assert others == [Response(2, GOOD), Response(3, GOOD, LENGTH - 99)]
    assert front.data(bad) == b"." * LENGTH
    assert front.data(good) == content(LENGTH)
    assert front.data(last)[:99] == content(99)
    assert "a read that was accepted has failed: " in caplog.text
    bench.end()


@pytest.mark.parametrize("broken", [0, 4])
@both_ways
def test_pages_that_are_none_are_the_guests_mistake(bench: "Bench", give: Give, broken: int) -> None:
    give()
    front = bench.front
    good, bad = front.segments(LENGTH), list(front.segments(LENGTH, 8))
    bad[broken] = (0x7FFF, *bad[broken][1:])
    answers = bench.ask(front.command(1, read(LENGTH), bad), front.command(2, read(LENGTH), good))
    assert [(answer.rqid, answer.result) for answer in answers] == [(1, ERROR), (2, GOOD)]
    assert bench.connection.figures.failed_copies == 1
    assert front.data(good) == content(LENGTH)
    bench.end()


def test_where_there_is_no_memory_at_all_the_guest_may_try_again(
    make_bench: "Callable[..., Bench]", give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of: list[int] = []

    def make(length: int) -> bytearray:
        short_of.append(length)
        raise MemoryError

    bench = make_bench(memory=Memory(1 << 24, make))
    give()
    monkeypatch.setattr(bench.platform.grants, "room", lambda length: None)
    segments = bench.front.segments(LENGTH)
    assert bench.ask(bench.front.command(1, read(LENGTH), segments)) == [Response(1, BUSY, LENGTH)]
    assert (short_of, bench.connection.figures.busy) == ([LENGTH], 1)
    monkeypatch.undo()
    give()
    assert bench.ask(bench.front.command(1, read(LENGTH), segments)) == [Response(1, GOOD)]
    assert bench.front.data(segments) == content(LENGTH)
    bench.end()
