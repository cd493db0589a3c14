"""How a connection begins and ends, and commands of our own."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from tgtcore_xen.hba.connection import Answer
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import Host, result

from tgtcore import Draining
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

if TYPE_CHECKING:
    from conftest import Bench

GOOD = result(Host.OK)


@pytest.mark.parametrize("missing", ["ring", "channel"])
def test_a_place_that_can_not_be_had(bench: "Bench", missing: str) -> None:
    bench.end_connection()
    place = bench.front.place()
    place = place._replace(ring_reference=999) if missing == "ring" else place._replace(event_channel=999)
    with pytest.raises(OSError, match="999"):
        bench.connect(place=place)
    assert not bench.platform.grants.mappings
    assert not bench.machine.ports.of(0)
    assert bench.memory.sharers == 0
    bench.connect()
    assert bench.ask(bench.front.command(1, READY)) == [Response(1, GOOD)]
    bench.end()


def test_no_memory_for_one_command(bench: "Bench") -> None:
    bench.end_connection()
    bench.memory.budget_bytes = 64 * 4096 - 1
    with pytest.raises(OSError, match="web1/0: there is no memory for a command of 64 pages"):
        bench.connect()
    assert not bench.platform.grants.mappings
    assert not bench.machine.ports.of(0)
    bench.memory.budget_bytes += 1
    bench.connect()
    bench.end()


def test_requests_that_came_before_it(bench: "Bench") -> None:
    bench.end_connection()
    bench.front.put(bench.front.command(1, READY), bench.front.command(2, READY))
    bench.connect()
    assert bench.front.take() == [Response(1, GOOD), Response(2, GOOD)]
    bench.end()


def test_a_new_ring_is_not_notified(bench: "Bench") -> None:
    assert bench.front.notified == 0
    bench.ask(bench.front.command(1, READY))
    bench.end_connection()
    bench.front.notified = 0
    bench.connect()
    assert bench.front.notified == 1, "the one before may have died before it has notified"
    bench.end()


def test_what_is_under_way_when_it_ends_has_no_answer(bench: "Bench") -> None:
    front, over = bench.front, []
    bench.device().hangs = True
    requests = [
        front.command(1, HELD),
        front.command(2, write(512), front.segments(512), out=True),
        front.command(3, read(512), front.segments(512, 2)),
    ]
    assert bench.ask(*requests) == [Response(3, GOOD)]
    assert bench.connection.in_flight == 2
    bench.connection.close(lambda: over.append(1))
    bench.connection.close(lambda: over.append(2))
    assert bench.ask(front.command(4, READY)) == []
    assert over == []
    assert bench.platform.grants.mappings, "the ring is unmapped when the last has ended"
    bench.device().release()
    assert over == [1, 2]
    assert bench.connection.in_flight == 0
    bench.connection.close(lambda: over.append(3))
    assert over == [1, 2, 3]
    bench.loop.run()
    assert front.take() == []
    bench.end()


def test_what_has_ended_before_it_ends_is_answered(bench: "Bench") -> None:
    front = bench.front
    segments = front.segments(512)
    bench.ask(front.command(1, HELD))
    bench.device().release()
    bench.end_connection()
    bench.loop.run()
    assert front.take() == [Response(1, GOOD)]
    bench.device().hangs = True
    bench.connect()
    front.fill(segments, content(512))
    assert bench.ask(front.command(2, write(512), segments, out=True)) == []
    bench.end()


def test_it_ends_before_it_has_begun(bench: "Bench") -> None:
    bench.end_connection()
    connection = bench.connect(start=False)
    bench.front.put(bench.front.command(1, READY))
    bench.loop.run()
    assert bench.front.take() == [], "nothing is taken before the start"
    over: list[bool] = []
    connection.close(lambda: over.append(True))
    assert over == [True]
    connection.start()
    bench.connect()
    assert bench.front.take() == [Response(1, GOOD)]
    bench.end()


def test_nobody_is_told_of_a_break_when_it_is_closed(bench: "Bench") -> None:
    bench.connection.commands._failed("as the test wants")
    bench.end_connection()
    bench.loop.run()
    assert bench.broken == []
    bench.connect()
    bench.end()


def test_what_ends_after_a_break_has_no_answer(bench: "Bench") -> None:
    bench.device().hangs = True
    segments = bench.front.segments(512)
    assert bench.ask(bench.front.command(1, write(512), segments, out=True)) == []
    bench.connection.commands._failed("as the test wants")
    bench.device().release()
    bench.loop.run()
    assert bench.broken == ["as the test wants"]
    assert bench.front.take() == []
    assert bench.memory.data_bytes == 512
    bench.end()


def test_other_devices(bench: "Bench") -> None:
    front = bench.front

    class Nothing:
        def lun_of(self, channel: int, target: int, lun: int) -> int | None:
            return None

    before = bench.connection.devices
    bench.connection.devices = Nothing()
    assert bench.ask(front.command(1, READY)) == [Response(1, result(Host.NO_CONNECT))]
    bench.connection.devices = before
    assert bench.ask(front.command(1, READY)) == [Response(1, GOOD)]
    bench.end()


def test_figures(bench: "Bench") -> None:
    bench.ask(bench.front.command(1, read(512), bench.front.segments(512)))
    figures = bench.connection.figures.as_dict()
    assert (figures["requests"], figures["copy_calls"], figures["wake_ups"]) == (1, 1, 2)
    bench.end()


# ---- commands of our own ----------------------------------------------------------------------------------------------------


async def finished(bench: "Bench", work: "asyncio.Task[Answer]") -> Answer:
    """Let the loop of the bench go on until it is."""
    while not work.done():
        bench.loop.run()
        await asyncio.sleep(0)
    return work.result()


@pytest.mark.asyncio
async def test_a_command_of_our_own(bench: "Bench") -> None:
    """The front end sees nothing of it, and may use every rqid meanwhile."""
    bench.connection._loop = asyncio.get_running_loop()
    assert await bench.connection.execute(0, read(100), 4096) == Answer(Status.GOOD, b"", content(100))
    assert await bench.connection.execute(0, read(100), 10) == Answer(Status.GOOD, b"", content(10))
    assert (await bench.connection.execute(2, READY, 10)).status == Status.CHECK_CONDITION
    held = asyncio.create_task(bench.connection.execute(0, HELD, 0))
    await asyncio.sleep(0)
    bench.connection._loop = bench.loop  # type: ignore[assignment]
    assert bench.ask(*(bench.front.command(number, READY) for number in range(16)))
    assert bench.connection.in_flight == 0
    bench.device().release()
    assert await finished(bench, held) == Answer(Status.GOOD, b"", b"")
    assert bench.front.take() == []
    bench.end()


@pytest.mark.asyncio
async def test_a_command_of_our_own_while_it_is_closed(bench: "Bench") -> None:
    bench.connection._loop = asyncio.get_running_loop()
    held = asyncio.create_task(bench.connection.execute(0, HELD, 0))
    await asyncio.sleep(0)
    bench.connection.close(lambda: None)
    bench.device().release()
    with pytest.raises(Draining, match="was aborted"):
        await held
    with pytest.raises(Draining, match="web1/0 is being closed"):
        await bench.connection.execute(0, READY, 0)
    bench.end()
