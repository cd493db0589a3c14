"""The driver's end: every answer and event in order, whoever waits for what meanwhile."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tgtcore.errors import RingError
from tgtcore.ring import DriverEnd, Event, Geometry, Response, doorbell
from tgtcore.ring.memory import Memory, create
from tgtcore.ring.messages import REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES

GEOMETRY = Geometry(depth=8, data_bytes=8192, events=2, event_bytes=4096)
ANSWER, WANT, EVENT, UNKNOWN = Response.COMPLETION, Response.WANT_DATA, Event.SHOW, 40
_TURNS = 10


class Bench:
    """A driver's end, and what the core has at the other one."""

    def __init__(self) -> None:
        fd = create(GEOMETRY, bytes(4096))
        self.memory, memory = Memory(fd, GEOMETRY), Memory(fd, GEOMETRY)
        os.close(fd)
        self.heard_bell, request_bell = doorbell.make()
        response_bell, self.rung_bell = doorbell.make()
        self.link, self.far_link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.taken: list[int] = []
        """Ids of what was handled."""
        self.then: dict[int, Callable[[], object]] = {}
        """What the handler does at an id."""
        self.failures: list[Exception] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.failures.append(context["exception"]))
        handlers = dict.fromkeys((ANSWER, WANT, EVENT), self._handle)
        self.end = DriverEnd(memory, request_bell, response_bell, self.far_link, loop, handlers)
        self._next = 0
        self._closed = False

    def _handle(self, slots: memoryview, at: int) -> None:
        number = int.from_bytes(slots[at + 8 : at + 16], "little")
        self.taken.append(number)
        self.then.get(number, int)()

    def say(self, *ids: int, kind: int = ANSWER, announce: bool = True) -> None:
        """What the core posts."""
        for number in ids:
            at = self._next % GEOMETRY.slots * RESPONSE_SLOT_BYTES
            self.memory.responses[at] = kind
            self.memory.responses[at + 8 : at + 16] = number.to_bytes(8, "little")
            self._next += 1
        if announce:
            doorbell.ring(self.rung_bell, len(ids))

    def announced(self) -> int:
        """How many requests the core has been told of."""
        try:
            return doorbell.heard(self.heard_bell) or 0
        except BlockingIOError:
            return 0

    def hang_up(self) -> None:
        self.link.close()

    def close_end(self) -> None:
        if not self._closed:
            self._closed = True
            self.end.close()

    def close(self) -> None:
        self.close_end()
        self.link.close()
        self.far_link.close()
        os.close(self.heard_bell)
        os.close(self.rung_bell)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.close()


async def turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


# ---- requests ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_requests_go_around_the_ring_and_each_is_announced_once(bench: Bench) -> None:
    slots, announced = [], 0
    for _ in range(5):
        slots += [bench.end.slot() for _ in range(GEOMETRY.slots // 2)]
        await turns()
        announced += bench.announced()
        assert announced == len(slots), "whoever posts waits for nobody else"
    assert slots == [number % GEOMETRY.slots * REQUEST_SLOT_BYTES for number in range(len(slots))]


@pytest.mark.asyncio
async def test_none_is_announced_before_it_can_have_been_written(bench: Bench) -> None:
    """It is written after the slot was asked for; of many, the first ones may be announced meanwhile."""
    for number in range(1, 10):
        bench.end.slot()
        assert bench.announced() < number
    bench.close_end()


@pytest.mark.asyncio
async def test_ids_are_others_than_those_of_commands(bench: Bench) -> None:
    ids = [bench.end.new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(1 << 63 <= number < 1 << 64 for number in ids)


@pytest.mark.asyncio
async def test_event_buffers_lie_one_behind_the_other(bench: Bench) -> None:
    for number in range(GEOMETRY.events):
        bench.end.event_buffer(number)[:] = bytes([number + 1]) * GEOMETRY.event_bytes
    assert bytes(bench.memory.events[4095:4097]) == b"\1\2"


@pytest.mark.asyncio
async def test_what_is_posted_after_its_end_goes_nowhere(bench: Bench) -> None:
    bench.end.slot()
    bench.close_end()
    bench.end.slot()
    await turns()
    assert (bench.announced(), bench.failures) == (0, [])


# ---- answers and events --------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_comes_is_handled_in_order_around_the_ring(bench: Bench) -> None:
    bench.end.unanswered = 100
    for first in range(0, 95, 5):
        bench.say(*range(first, first + 5))
        await turns()
    assert bench.taken == list(range(95))
    assert bench.end.unanswered == 5


@pytest.mark.asyncio
async def test_only_answers_give_their_credit_back(bench: Bench) -> None:
    bench.end.unanswered = 3
    for kind in (WANT, EVENT, ANSWER):
        bench.say(1, kind=kind)
    await turns()
    assert (bench.taken, bench.end.unanswered) == ([1, 1, 1], 2)


@pytest.mark.asyncio
async def test_what_was_not_announced_is_not_there(bench: Bench) -> None:
    bench.say(1, 2, announce=False)
    await turns()
    assert bench.taken == []
    doorbell.ring(bench.rung_bell, 1)
    await turns()
    assert bench.taken == [1]


@pytest.mark.asyncio
async def test_what_nobody_knows_or_can_handle_is_reported_and_holds_up_nothing(bench: Bench) -> None:
    def fail() -> None:
        raise ValueError("a defect")

    bench.then[1] = fail
    bench.say(1)
    bench.say(2, kind=UNKNOWN)
    bench.say(3)
    await turns()
    assert bench.taken == [1, 3]
    assert [(type(one), str(one)) for one in bench.failures] == [
        (ValueError, "a defect"),
        (RingError, f"the core says something unknown: message type {UNKNOWN}"),
    ]


# ---- waiting -------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_answer_that_is_waited_for_overtakes_and_the_others_keep_their_order(bench: Bench) -> None:
    bench.end.unanswered = 4
    bench.say(1, 2)
    bench.say(2**63 + 1, 3)
    slot = bench.end.wait(2**63 + 1, 1)
    assert (slot[0], int.from_bytes(slot[8:16], "little"), len(slot)) == (ANSWER, 2**63 + 1, RESPONSE_SLOT_BYTES)
    assert (bench.taken, bench.end.unanswered) == ([], 3)
    bench.say(4, kind=EVENT)
    await turns()
    assert (bench.taken, bench.end.unanswered) == ([1, 2, 3, 4], 0)


@pytest.mark.asyncio
async def test_its_slot_is_a_copy(bench: Bench) -> None:
    bench.say(7)
    slot = bench.end.wait(7, 1)
    bench.memory.responses[:] = bytes(len(bench.memory.responses))
    assert slot[8] == 7


@pytest.mark.asyncio
async def test_an_event_with_the_id_of_what_is_waited_for_is_no_answer(bench: Bench) -> None:
    bench.say(7, kind=EVENT)
    bench.say(7)
    assert bench.end.wait(7, 1)[0] == ANSWER
    await turns()
    assert bench.taken == [7]


@pytest.mark.asyncio
async def test_who_waits_within_a_handler_finds_what_is_behind_it_in_order_later(bench: Bench) -> None:
    order: list[Any] = []

    def wait_for_five() -> None:
        order.append("before")
        bench.end.wait(5, 1)
        order.append("after")

    bench.then[2] = wait_for_five
    bench.then[3] = lambda: order.append(3)
    bench.say(1, 2, 3, 4)
    bench.say(5, 6)
    await turns()
    assert bench.taken == [1, 2, 3, 4, 6]
    assert order == ["before", "after", 3]


@pytest.mark.asyncio
async def test_who_waits_has_announced_what_it_waits_for(bench: Bench) -> None:
    bench.end.slot()
    bench.end.before_waiting = lambda: bench.say(*[9] * bench.announced())
    assert bench.end.wait(9, 1)[8] == 9


@pytest.mark.asyncio
async def test_an_answer_that_does_not_come_in_time_is_handled_when_it_comes(bench: Bench) -> None:
    bench.end.unanswered = 1
    bench.say(1, kind=EVENT)
    with pytest.raises(RingError, match="the core does not answer"):
        bench.end.wait(7, 0.01)
    assert bench.end.unanswered == 1
    bench.say(7)
    await turns()
    assert (bench.taken, bench.end.unanswered) == ([1, 7], 0)


@pytest.mark.asyncio
async def test_what_came_before_a_wait_in_vain_does_not_wait_for_more(bench: Bench) -> None:
    bench.say(1, kind=EVENT)
    with pytest.raises(RingError, match="the core does not answer"):
        bench.end.wait(7, 0.01)
    await turns()
    assert bench.taken == [1]


@pytest.mark.asyncio
async def test_a_core_that_has_gone_is_not_waited_for(bench: Bench) -> None:
    bench.hang_up()
    with pytest.raises(RingError, match="the core is gone"):
        bench.end.wait(7, 3600)


@pytest.mark.asyncio
async def test_a_bell_whose_other_end_is_gone_is_not_listened_to_any_more(bench: Bench) -> None:
    os.close(bench.rung_bell)
    await turns()
    assert bench.failures == []
    bench.rung_bell = os.dup(bench.heard_bell)
