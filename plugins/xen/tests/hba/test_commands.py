"""Commands of a front end: data both ways, residuals, what is refused, and what a guest does that it may not do."""

import logging
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from tgtcore_srp.memory import Memory, Share
from tgtcore_xen.platform.contract import Copy
from tgtcore_xen.vscsiif.layout import HEADER_BYTES, SLOT_BYTES
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import Host, result
from tgtcore_xen.vscsiif.segments import build_segments

from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, REFUSED, content, read, write

if TYPE_CHECKING:
    from conftest import Bench

GOOD, BUSY = result(Host.OK), result(Host.OK, Status.BUSY)
ERROR, NO_CONNECT = result(Host.ERROR), result(Host.NO_CONNECT)
LENGTHS = [1, 512, 4096, 4097, 30_000]


def test_a_command_without_data(bench: "Bench") -> None:
    assert bench.ask(bench.front.command(7, READY)) == [Response(7, GOOD)]
    bench.end()


@pytest.mark.parametrize("offset", [0, 512])
@pytest.mark.parametrize("length", LENGTHS)
def test_data_in(bench: "Bench", length: int, offset: int) -> None:
    segments = bench.front.segments(length, 2, offset)
    assert bench.ask(bench.front.command(7, read(length), segments)) == [Response(7, GOOD)]
    assert bench.front.data(segments) == content(length)
    assert bytes(bench.front.pages[2].view[:offset]) == bytes(offset)
    bench.end()


@pytest.mark.parametrize("offset", [0, 512])
@pytest.mark.parametrize("length", LENGTHS)
def test_data_out(bench: "Bench", length: int, offset: int) -> None:
    segments = bench.front.segments(length, 2, offset)
    bench.front.fill(segments, content(length))
    assert bench.ask(bench.front.command(7, write(length), segments, out=True)) == [Response(7, GOOD)]
    assert bench.device().written == content(length)
    bench.end()


@pytest.mark.parametrize("out", [False, True])
def test_indirect_segments(bench: "Bench", out: bool) -> None:
    front, length = bench.front, 40 * 4096 - 5
    segments = front.segments(length, 0, 0)
    table = front.table(segments[:7], 45) + front.table(segments[7:], 46)
    request = front.command(3, write(length) if out else read(length), table, out=out, indirect=True)
    front.fill(segments, content(length) if out else bytes(length))
    assert bench.ask(request) == [Response(3, GOOD)]
    assert (bench.device().written if out else front.data(segments)) == content(length)
    assert bench.connection.figures.copy_calls == 2
    bench.end()


@pytest.mark.parametrize(
    ("cdb", "room", "out", "residual"),
    [
        (read(100), 4096, False, 3996),
        (read(5000), 4096, False, 0),
        (write(100), 4096, True, 3996),
        (write(5000), 4096, True, 0),
        (READY, 512, False, 512),
        (READY, 512, True, 512),
        (read(0), 512, False, 512),
    ],
)
def test_residual(bench: "Bench", cdb: bytes, room: int, out: bool, residual: int) -> None:
    segments = bench.front.segments(room)
    bench.front.fill(segments, content(room) if out else b"\xee" * room)
    assert bench.ask(bench.front.command(1, cdb, segments, out=out)) == [Response(1, GOOD, residual)]
    if out:
        assert bench.device().written == content(room - residual) or not residual or cdb == READY
    else:
        assert bench.front.data(segments) == content(room - residual) + b"\xee" * residual
    bench.end()


def test_sense_data(bench: "Bench") -> None:
    (response,) = bench.ask(bench.front.command(1, REFUSED, bench.front.segments(512)))
    assert (response.result, response.residual) == (Status.CHECK_CONDITION, 512)
    assert parse_sense(response.sense).key is SenseKey.ILLEGAL_REQUEST
    bench.end()


def test_direction_none_moves_nothing(bench: "Bench") -> None:
    segments = bench.front.segments(512)
    request = bench.front.command(1, read(512), segments)._replace(direction=3)
    assert bench.ask(request) == [Response(1, GOOD)]
    assert bench.front.data(segments) == bytes(512)
    assert bench.connection.figures.copy_calls == 0
    bench.end()


# ---- batches --------------------------------------------------------------------------------------------------------------


def test_a_full_ring_takes_two_copies_and_one_notification(bench: "Bench") -> None:
    front, figures = bench.front, bench.connection.figures
    before = figures.notifications, figures.wake_ups
    out = [front.segments(4096, page) for page in range(8)]
    in_ = [front.segments(4096, page) for page in range(8, 16)]
    for number, segments in enumerate(out):
        front.fill(segments, bytes((number,)) * 4096)
    requests = [front.command(number, write(4096), segments, out=True) for number, segments in enumerate(out)]
    requests += [front.command(number, read(4096), segments) for number, segments in enumerate(in_, 8)]
    answers = bench.ask(*requests)
    assert sorted(answers) == [Response(number, GOOD) for number in range(16)]
    assert all(front.data(segments) == content(4096) for segments in in_)
    assert (figures.requests, figures.copy_calls, figures.copied_segments) == (16, 2, 16)
    assert (figures.notifications - before[0], figures.wake_ups - before[1]) == (1, 1)
    assert front.notified == 1
    bench.end()


def test_tables_of_one_wake_up_are_fetched_with_one_call(bench: "Bench") -> None:
    front = bench.front
    tables = [front.table(front.segments(4096, number), 40 + number) for number in range(4)]
    requests = [
        front.command(number, write(4096), table, out=True, indirect=True) for number, table in enumerate(tables)
    ]
    assert bench.ask(*requests) == [Response(number, GOOD) for number in range(4)]
    assert bench.connection.figures.copy_calls == 2
    bench.end()


def test_what_ends_later_in_one_turn_is_delivered_together(bench: "Bench") -> None:
    front, figures = bench.front, bench.connection.figures
    assert bench.ask(*(front.command(number, HELD) for number in range(5))) == []
    bench.device().release()
    bench.loop.run()
    assert [response.rqid for response in front.take()] == [0, 1, 2, 3, 4]
    assert figures.notifications == 1
    assert front.notified == 1
    bench.end()


def test_requests_that_come_while_others_are_served(bench: "Bench") -> None:
    """A guest that fills its ring again and again is served, and others get their turn in between."""
    front, turns = bench.front, 0
    put = iter(range(1000))

    def more() -> None:
        if next(put) < 40:
            front.responses += map(Response.parse, front.ring.take())
            front.ring.put(front.command(5, READY).build())
            front.ring.publish()

    settle = bench.connection.commands.settle

    def settled() -> bool:
        answer = settle()
        more()
        return answer

    bench.connection.commands.settle = settled  # type: ignore[method-assign]
    front.put(front.command(5, READY))
    while bench.loop.soon:
        bench.loop.turn()
        turns += 1
    assert len(front.take()) == 41
    assert turns > 10
    bench.end()


# ---- what is refused --------------------------------------------------------------------------------------------------------


def test_an_unknown_device(bench: "Bench") -> None:
    front = bench.front
    other = front.command(2, READY)._replace(channel=1)
    assert bench.ask(front.command(1, READY, lun=3), other) == [Response(1, NO_CONNECT), Response(2, NO_CONNECT)]
    (response,) = bench.ask(front.command(1, READY, lun=2))
    assert response.result == Status.CHECK_CONDITION, "the core answers for a LUN that has no logical unit"
    bench.end()


def _raw(request: Request, at: int, value: bytes) -> bytes:
    made = request.build()
    return made[:at] + value + made[at + len(value) :]


MALFORMED: dict[str, Callable[["Bench"], Request | bytes]] = {
    "unknown act": lambda bench: bench.front.command(9, READY)._replace(act=4),
    "no CDB": lambda bench: bench.front.command(9, READY).build(0),
    "long CDB": lambda bench: bench.front.command(9, READY).build(17),
    "both directions": lambda bench: bench.front.command(9, READY)._replace(direction=0),
    "too many segments": lambda bench: _raw(bench.front.command(9, READY), 31, b"\x1b"),
    "beyond the page": lambda bench: bench.front.command(9, READY, [(bench.front.references[0], 1, 4096)]),
    "no table": lambda bench: bench.front.command(9, READY, [(9999, 0, 8)], indirect=True),
    "wild table": lambda bench: bench.front.command(
        9, read(1), bench.front.table([(bench.front.references[0], 4000, 97)]), indirect=True
    ),
    "more than announced": lambda bench: bench.front.command(
        9, read(1), [(bench.front.references[0], 0, 65 * 8)], indirect=True
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(bench: "Bench", name: str, caplog: pytest.LogCaptureFixture) -> None:
    front = bench.front
    answers = bench.ask(front.command(1, READY), MALFORMED[name](bench), front.command(2, READY))
    assert sorted(answers) == [Response(1, GOOD), Response(2, GOOD), Response(9, ERROR)]
    assert bench.connection.figures.malformed == 1
    assert "web1/0: request 0x9: " in caplog.text
    bench.end()


def test_the_log_is_not_filled(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        bench.ask(*(bench.front.command(number, READY).build(0) for number in range(16)))
    assert bench.connection.figures.malformed == 80
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 10
    assert "more of this is not logged" in caplog.records[-1].message
    bench.end()


def test_an_rqid_that_is_in_use(bench: "Bench") -> None:
    front = bench.front
    assert bench.ask(front.command(1, HELD), front.command(1, READY)) == [Response(1, ERROR)]
    bench.device().release()
    bench.loop.run()
    assert front.take() == [Response(1, GOOD)]
    assert bench.ask(front.command(1, READY)) == [Response(1, GOOD)]
    bench.end()


def test_memory_is_short(make_bench: Callable[..., "Bench"]) -> None:
    bench = make_bench(memory=Memory(10_000), sg_grant=2)
    front = bench.front
    bench.device().hangs = True
    first = front.command(1, write(8192), front.segments(8192), out=True)
    second = front.command(2, write(4096), front.segments(4096, 4), out=True)
    assert bench.ask(first, second) == [Response(2, BUSY, 4096)]
    assert bench.connection.figures.busy == 1
    bench.device().release()
    bench.loop.run()
    assert front.take() == [Response(1, GOOD)]
    assert bench.memory.data_bytes == 0
    bench.device().hangs = False
    assert bench.ask(second) == [Response(2, GOOD)]
    bench.end()


def test_others_have_all_the_memory(make_bench: Callable[..., "Bench"]) -> None:
    """There is some for one of the largest commands at any time."""
    memory = Memory(300_000)
    bench = make_bench(memory=memory, sg_grant=64)
    others = Share(memory)
    assert others.take(300_000 - 64 * 4096)
    assert not others.take(1)
    front = bench.front
    segments = front.segments(45 * 4096)
    request = front.command(1, read(45 * 4096), front.table(segments), indirect=True)
    for _ in range(3):
        assert bench.ask(request) == [Response(1, GOOD)]
    second = front.command(2, HELD, front.segments(20 * 4096))
    assert bench.ask(second, request) == [Response(1, BUSY, 45 * 4096)]
    others.give(others.held_bytes)
    bench.device().release()
    bench.loop.run()
    bench.end()


@pytest.mark.parametrize("indirect", [False, True])
def test_the_machine_has_no_memory(make_bench: Callable[..., "Bench"], indirect: bool) -> None:
    def none(length: int) -> bytearray:
        raise MemoryError

    bench = make_bench(memory=Memory(1 << 20, none))
    front = bench.front
    segments = front.segments(4096)
    if indirect:
        segments = front.table(segments)
    request = front.command(1, write(4096), segments, out=True, indirect=indirect)
    answers = bench.ask(request, front.command(2, READY))
    assert sorted(answers) == [Response(1, BUSY, 8 if indirect else 4096), Response(2, GOOD)]
    assert bench.device().written == b""
    bench.end()


def test_the_target_goes_away(bench: "Bench") -> None:
    bench.nexus.leases.shut()
    request = bench.front.command(1, read(512), bench.front.segments(512))
    assert bench.ask(request) == [Response(1, BUSY, 512)]
    assert bench.memory.data_bytes == 0
    bench.end()


# ---- grants that fail -------------------------------------------------------------------------------------------------------


def test_data_out_that_can_not_be_had(bench: "Bench") -> None:
    front = bench.front
    bad = front.command(1, write(8192), [(front.references[0], 0, 4096), (9999, 0, 4096)], out=True)
    good = front.command(2, write(512), front.segments(512, 3), out=True, lun=1)
    front.fill(front.segments(512, 3), content(512))
    assert sorted(bench.ask(bad, good)) == [Response(1, ERROR, 8192), Response(2, GOOD)]
    assert bench.device(0).written == b"", "it had an effect"
    assert bench.device(1).written == content(512)
    assert bench.connection.figures.failed_copies == 1
    bench.end()


def test_data_in_that_can_not_be_delivered(bench: "Bench") -> None:
    front = bench.front
    bad = front.command(1, read(4096), [(9999, 0, 4096)])
    good = front.command(2, read(4096), front.segments(4096))
    assert bench.ask(bad, good) == [Response(1, ERROR, 4096), Response(2, GOOD)]
    assert front.data(front.segments(4096)) == content(4096)
    bench.end()


# ---- a guest that changes what it has written ------------------------------------------------------------------------------


def test_slots_that_change(bench: "Bench") -> None:
    """A request is what it was when it was taken, and responses are not spoilt by it."""
    front = bench.front
    segments = front.segments(4096)
    front.fill(segments, content(4096))
    page = front.page.view

    def scribbling(copies: Sequence[Copy]) -> list[bool]:
        page[HEADER_BYTES : HEADER_BYTES + 16 * SLOT_BYTES] = b"\xff" * 16 * SLOT_BYTES
        return copy(copies)

    copy = bench.platform.grants.copy
    bench.platform.grants.copy = scribbling  # type: ignore[method-assign]
    requests = [front.command(number, write(4096), segments, out=True) for number in range(3)]
    assert bench.ask(*requests) == [Response(number, GOOD) for number in range(3)]
    assert bench.device().written == content(4096)
    bench.end()


def test_tables_that_change(bench: "Bench") -> None:
    """Segments are checked as they were fetched, and not fetched again."""
    front = bench.front
    segments = front.segments(8192)
    front.fill(segments, content(8192))
    table = front.table(segments)
    copy, calls = bench.platform.grants.copy, []

    def scribbling(copies: Sequence[Copy]) -> list[bool]:
        calls.append([tuple(one.pieces) for one in copies])
        done = copy(copies)
        front.fill(table, build_segments([(1, 4095, 4095), (2, 4095, 4095)]))
        return done

    bench.platform.grants.copy = scribbling  # type: ignore[method-assign]
    request = front.command(1, write(8192), table, out=True, indirect=True)
    assert bench.ask(request) == [Response(1, GOOD)]
    assert bench.device().written == content(8192)
    assert calls == [[tuple(table)], [tuple(segments)]]
    bench.end()


@pytest.mark.parametrize("index", [17, 1000, 2**32 - 1])
def test_more_requests_than_there_is_room_for(bench: "Bench", index: int) -> None:
    front = bench.front
    assert bench.ask(front.command(1, HELD)) == []
    struct.pack_into("<I", front.page.view, 0, index)
    front.channel.notify()
    bench.loop.run()
    (why,) = bench.broken
    assert why.startswith(
        f"the other end says that it has put {(index - 1) % 2**32} in the ring beyond index 1, expected 15"
    )
    bench.device().release()
    front.channel.notify()
    bench.loop.run()
    assert front.take() == [], "nothing is answered any more"
    assert len(bench.broken) == 1
    bench.end()


def test_a_failure_of_our_own(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    def failing(*arguments: Any) -> None:
        raise RuntimeError("as the test wants")

    bench.devices.lun_of = failing  # type: ignore[method-assign, assignment]
    assert bench.ask(bench.front.command(1, READY)) == []
    assert bench.broken == ["a failure of our own, which is in the log"]
    assert "web1/0: a request can't be served" in caplog.text
    bench.end()


@pytest.mark.parametrize("index", [2**32 - 5, 2**32 - 16])
def test_indexes_start_again(make_bench: Callable[..., "Bench"], index: int) -> None:
    bench = make_bench(index=index)
    for batch in range(4):
        requests = [bench.front.command(batch * 16 + number, READY) for number in range(16)]
        assert bench.ask(*requests) == [Response(request.rqid, GOOD) for request in requests]
    bench.end()
