"""A command that came over a ring, on its way through the core and back."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from isolation.hostile import Hostile, joined

from tgtcore.isolation.attendant import Attendant
from tgtcore.isolation.ring_task import RingTask
from tgtcore.nexus import InitiatorPort, TargetPort
from tgtcore.ring import Request, Response, messages
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.store import OpenFile, Region
from tgtcore.testing.host import HELD, READY, TestHost, content, read, write
from tgtcore.testing.waiting import WITHIN_S, until_async

_TURNS = 12


def made(host: TestHost, room: int = 0, **fields: Any) -> RingTask:
    """One that was not submitted."""
    nexus = host.open_nexus(host.target, InitiatorPort("i", b"i"), TargetPort("p", 1, 1, 5))
    task = RingTask(nexus, 0, 1, 1, READY, 0, room)
    task.room = memoryview(bytearray(b"." * room))
    for name, value in fields.items():
        setattr(task, name, value)
    nexus.close(lambda: None)
    return task


def region(path: Path, data: bytes, offset: int, length: int) -> Region:
    path.write_bytes(data)
    return Region(OpenFile(os.open(path, os.O_RDONLY)), offset, length)


@pytest_asyncio.fixture
async def host() -> TestHost:
    return TestHost(asyncio.get_running_loop(), "tested", "t")


# ---- where its data-in goes -------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("data", "there_is", "placed"),
    [
        (None, 0, b"...."),
        (b"", 0, b"...."),
        (b"ab", 2, b"ab.."),
        (bytearray(b"abcd"), 4, b"abcd"),
        (memoryview(b"abcdef"), 6, b"abcd"),
    ],
)
async def test_as_much_as_has_room_is_placed_and_all_is_counted(
    host: TestHost, data: Any, there_is: int, placed: bytes
) -> None:
    task = made(host, 4, data_in=data)
    assert (task.place_data_in(), bytes(task.room)) == (there_is, placed)


@pytest.mark.asyncio
async def test_an_aborted_one_writes_nothing(host: TestHost) -> None:
    task = made(host, 4, data_in=b"abcd", responds=False)
    assert (task.place_data_in(), bytes(task.room)) == (0, b"....")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("offset", "length", "placed"), [(0, 2, b"ab.."), (1, 4, b"bcde"), (2, 6, b"cdef"), (8, 0, b"....")]
)
async def test_a_region_is_read_into_its_place(
    host: TestHost, tmp_path: Path, offset: int, length: int, placed: bytes
) -> None:
    task = made(host, 4, data_in=region(tmp_path / "image", b"abcdefgh", offset, length))
    assert (task.place_data_in(), bytes(task.room)) == (length, placed)
    assert task.status == Status.GOOD


@pytest.mark.asyncio
@pytest.mark.parametrize("offset", [6, 8, 100])
async def test_a_region_whose_file_has_become_shorter_is_a_medium_error(
    host: TestHost, tmp_path: Path, offset: int
) -> None:
    task = made(host, 4, data_in=region(tmp_path / "image", b"abcdefgh", offset, 4))
    assert task.place_data_in() == 0
    sense = parse_sense(task.sense)
    assert (task.status, sense.key, sense.code) == (
        Status.CHECK_CONDITION,
        SenseKey.MEDIUM_ERROR,
        asc.UNRECOVERED_READ_ERROR,
    )


@pytest.mark.asyncio
async def test_a_region_that_can_not_be_read_is_a_medium_error_and_said(
    host: TestHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = made(host, 4, data_in=Region(OpenFile(os.open(tmp_path, os.O_RDONLY)), 0, 4))
    assert task.place_data_in() == 0
    assert (task.status, parse_sense(task.sense).key) == (Status.CHECK_CONDITION, SenseKey.MEDIUM_ERROR)
    assert "a read that was accepted has failed: " in caplog.text


@pytest.mark.asyncio
async def test_a_large_region_comes_whole_though_it_is_not_in_memory(host: TestHost, tmp_path: Path) -> None:
    data = content(3 << 20)
    wanted = region(tmp_path / "image", data, 0, len(data))
    os.sync()
    os.posix_fadvise(wanted.fd, 0, 0, os.POSIX_FADV_DONTNEED)
    task = made(host, len(data), data_in=wanted)
    assert task.place_data_in() == len(data)
    assert bytes(task.room) == data


# ---- over a ring -----------------------------------------------------------------------------------------------------------


class Bench:
    """The core at one end of a ring, and an orderly driver with a nexus at the other."""

    def __init__(self, host: TestHost) -> None:
        self.host = host
        self.reasons: list[str] = []
        ours, theirs = joined()
        self.attendant = Attendant(host, ours, lambda _: None, self.reasons.append)
        self.attendant.targets[host.target.tid] = host.target
        self.driver = Hostile(theirs, 1, wildness=0)
        self.driver.open(1)

    def post(self, kind: Request, **fields: Any) -> None:
        self.driver.post(kind, **fields)

    async def said(self, least: int = 0) -> list[dict[str, Any]]:
        """What the core says to all that was posted; so much is waited for."""
        self.driver.announce()
        found: list[dict[str, Any]] = []
        ends_at = time.monotonic() + WITHIN_S
        while True:
            # how many are taken in one turn depends on how long those before took
            await until_async(lambda: self.attendant.end.closed or self.attendant.end.taken >= self.driver.posted)
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            for at in self.driver.said():
                layout = messages.RESPONSES[Response(self.driver.memory.responses[at])]
                values = layout.unpack_from(self.driver.memory.responses, at)
                found.append(dict(zip((field.name for field in layout.fields), values, strict=True)))
            if len(found) >= least or time.monotonic() > ends_at:
                return found


@pytest_asyncio.fixture
async def bench(host: TestHost) -> AsyncIterator[Bench]:
    made = Bench(host)
    assert len(await made.said(1)) == 1
    yield made
    made.attendant.close()
    host.device(0).release()
    made.driver.leave()
    assert made.reasons == []
    host.check_quiet()


def command(cdb: bytes, **fields: int) -> dict[str, Any]:
    return {"nexus": 1, "id": 5, "cdb_length": len(cdb), "cdb": cdb, "attribute": 1, **fields}


@pytest.mark.asyncio
async def test_its_end_is_told_with_status_sense_and_data(bench: Bench) -> None:
    bench.post(Request.COMMAND, **command(read(8), data_in_offset=4096, data_in_room=8, data_in_expected=8))
    (said,) = await bench.said(1)
    assert (said["type"], said["id"], said["status"], said["flags"], said["data_in_length"]) == (1, 5, 0, 0, 8)
    assert bytes(bench.driver.memory.data[4096:4104]) == content(8)
    bench.post(Request.COMMAND, **command(b"\xff" * 6))
    (said,) = await bench.said(1)
    assert said["status"] == Status.CHECK_CONDITION
    assert parse_sense(said["sense"][: said["sense_length"]]).code == asc.INVALID_COMMAND_OPERATION_CODE


@pytest.mark.asyncio
@pytest.mark.parametrize(("wanted", "expected"), [(512, 512), (512, 300), (300, 512)])
async def test_data_out_is_asked_for_and_never_more_than_there_is_going_to_be(
    bench: Bench, wanted: int, expected: int
) -> None:
    bench.post(Request.COMMAND, **command(write(wanted), data_out_expected=expected))
    (said,) = await bench.said(1)
    length = min(wanted, expected)
    assert (said["type"], said["id"], said["wanted_out"]) == (Response.WANT_DATA, 5, length)
    assert bench.attendant.tasks[5].awaited == length
    bench.driver.memory.data[:length] = content(length)
    bench.post(Request.DATA, id=5, offset=0, length=length)
    (said,) = await bench.said(1)
    assert (said["type"], said["status"], said["wanted_out"]) == (Response.COMPLETION, Status.GOOD, wanted)
    assert bench.host.device(0).written == content(length)


@pytest.mark.asyncio
async def test_data_out_that_is_parsed_does_not_change_any_more(bench: Bench) -> None:
    bench.host.device(0).hangs = True
    bench.driver.memory.data[:4] = b"abcd"
    bench.post(Request.COMMAND, **command(write(4), data_out_expected=4, data_out_length=4))
    assert await bench.said() == []
    bench.driver.memory.data[:4] = b"wxyz"
    assert bytes(bench.attendant.tasks[5].data_out or b"") == b"abcd"  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_an_aborted_one_ends_in_silence_before_the_function_is_answered(bench: Bench) -> None:
    bench.post(Request.COMMAND, **command(write(512), data_out_expected=512, data_in_expected=0))
    await bench.said()
    bench.post(Request.TASK_MANAGEMENT, function=1, nexus=1, id=6, referenced=5)
    completion, done = await bench.said(2)
    assert (completion["type"], completion["flags"], completion["status"]) == (1, messages.SILENT, 0)
    assert (done["type"], done["response"], bench.attendant.tasks) == (Response.TASK_MANAGEMENT_DONE, 0, {})
    bench.post(Request.DATA, id=5, offset=0, length=512)
    assert await bench.said() == [], "its data has crossed its end"


@pytest.mark.asyncio
async def test_one_that_ends_after_its_driver_holds_nothing_of_the_ring(bench: Bench) -> None:
    bench.post(Request.COMMAND, **command(HELD, data_out_expected=4, data_out_length=4))
    await bench.said()
    task = bench.attendant.tasks[5]
    bench.attendant.close()
    bench.host.device(0).release()
    assert (len(task.room), task.data_out) == (0, None)
