"""The core's end: every request in its turn, and no turn longer than it may be."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tgtcore.errors import RingError
from tgtcore.ring import CoreEnd, Geometry, doorbell
from tgtcore.ring.memory import Memory, create
from tgtcore.ring.messages import REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES

GEOMETRY = Geometry(depth=64, data_bytes=8192, events=2, event_bytes=4096)
QUICK, FAILING, RUDE = 1, 2, 3
COST_S = 0.0001
TURN_S = 0.00001
LEAST_S = 0.00005


class Loop:
    """A loop whose time passes only when something is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.readers: dict[int, Callable[[], None]] = {}
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        """Everything that was called for before this turn, then what was rung."""
        self.now += TURN_S
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()
        for reader in list(self.readers.values()):
            reader()


class Bench:
    def __init__(self) -> None:
        memory_fd = create(GEOMETRY, bytes(4096))
        self.memory = Memory(memory_fd, GEOMETRY)
        os.close(memory_fd)
        heard, self.rung = doorbell.make()
        self.heard, rung = doorbell.make()
        self.loop: Any = Loop()
        self.taken: list[int] = []
        self.reasons: list[str] = []
        self.handlers = {QUICK: self._quick, FAILING: self._failing, RUDE: self._rude}
        self.end = CoreEnd(self.memory, heard, rung, self.loop, self.handlers, self.reasons.append)
        self._next = 0

    def _quick(self, slots: memoryview, at: int) -> None:
        self.loop.now += COST_S
        self.taken.append(slots[at + 1])

    def _failing(self, slots: memoryview, at: int) -> None:
        raise ValueError("a defect")

    def _rude(self, slots: memoryview, at: int) -> None:
        raise RingError("that is not done")

    def post(self, count: int = 1, kind: int = QUICK) -> None:
        for _ in range(count):
            at = self._next % GEOMETRY.slots * REQUEST_SLOT_BYTES
            self.memory.requests[at], self.memory.requests[at + 1] = kind, self._next & 0xFF
            self._next += 1
        doorbell.ring(self.rung, count)

    def answered(self) -> int:
        try:
            return doorbell.heard(self.heard) or 0
        except BlockingIOError:
            return 0


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.end.close()
    os.close(made.rung)
    os.close(made.heard)


def test_requests_are_taken_in_order_around_the_ring(bench: Bench) -> None:
    for _ in range(5):
        bench.post(GEOMETRY.slots // 2)
        while len(bench.taken) < bench._next:
            bench.loop.turn()
    assert bench.taken == [number & 0xFF for number in range(bench._next)]
    assert bench.end.taken == bench._next
    assert bench.reasons == []


def test_a_flood_gets_as_much_of_a_turn_as_the_others_have_had(bench: Bench) -> None:
    bench.post(GEOMETRY.slots)
    bench.loop.turn()
    bench.loop.turn()
    for others in (1, 4, 2, 1):
        before = len(bench.taken)
        bench.loop.now += others * COST_S
        bench.loop.turn()
        assert abs(len(bench.taken) - before - others) <= 1


def test_what_one_request_takes_beyond_its_share_is_not_given_twice(bench: Bench) -> None:
    bench.post(GEOMETRY.slots)
    bench.loop.turn()
    bench.loop.turn()
    before, turns = len(bench.taken), 40
    for _ in range(turns):
        bench.loop.now += COST_S * 3 / 4
        bench.loop.turn()
    assert len(bench.taken) - before <= turns * (COST_S * 3 / 4 + TURN_S) / COST_S + 1


def test_a_turn_is_never_too_short_to_be_worth_it(bench: Bench) -> None:
    bench.post(GEOMETRY.slots)
    bench.loop.turn()
    bench.loop.turn()
    before, turns = len(bench.taken), 40
    for _ in range(turns):
        bench.loop.now += COST_S / 10
        bench.loop.turn()
    assert abs(len(bench.taken) - before - turns * LEAST_S / COST_S) <= 1


def test_who_is_alone_gets_more_and_more_up_to_half_a_millisecond(bench: Bench) -> None:
    bench.post(GEOMETRY.slots)
    longest = 0
    for _ in range(60):
        before = len(bench.taken)
        bench.loop.turn()
        longest = max(longest, len(bench.taken) - before)
    assert len(bench.taken) == GEOMETRY.slots
    assert 5 <= longest <= 8


def test_who_waits_for_an_answer_is_served_whatever_the_time(bench: Bench) -> None:
    bench.post(GEOMETRY.slots)
    bench.end.serve_now()
    assert len(bench.taken) == GEOMETRY.slots


@pytest.mark.parametrize("count", [0, GEOMETRY.slots + 1, 2**64 - 1])
def test_a_doorbell_that_announces_what_can_not_be_ends_it(bench: Bench, count: int) -> None:
    os.write(bench.rung, count.to_bytes(8, "little"))
    bench.loop.turn()
    assert bench.reasons == [f"the doorbell announces {count} requests, the ring has {GEOMETRY.slots} slots"]
    assert bench.end.closed
    assert bench.loop.readers == {}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (0, "there is no request of type 0"),
        (77, "there is no request of type 77"),
        (RUDE, "that is not done"),
        (FAILING, "the core failed inside at one of its requests"),
    ],
)
def test_a_breach_ends_it_once_and_what_follows_is_not_taken(bench: Bench, kind: int, reason: str) -> None:
    bench.post(2)
    bench.post(1, kind)
    bench.post(2)
    bench.loop.turn()
    bench.loop.turn()
    assert bench.reasons == [reason]
    assert len(bench.taken) == 2


def test_half_a_count_ends_it(bench: Bench) -> None:
    os.write(bench.rung, b"123")
    bench.loop.turn()
    assert bench.reasons == ["3 bytes came through the doorbell, expected counts of 8 bytes"]


def test_a_bell_whose_other_end_is_gone_is_no_breach(bench: Bench) -> None:
    os.close(bench.rung)
    bench.loop.turn()
    assert bench.loop.readers == {}
    assert (bench.reasons, bench.end.closed) == ([], False)
    bench.rung = os.dup(bench.heard)


def test_responses_are_announced_together_and_their_slots_go_around(bench: Bench) -> None:
    slots = [bench.end.slot() for _ in range(GEOMETRY.slots + 1)]
    assert slots == [number * RESPONSE_SLOT_BYTES for number in range(GEOMETRY.slots)] + [0]
    assert bench.answered() == 0
    bench.loop.turn()
    assert bench.answered() == GEOMETRY.slots + 1


def test_responses_are_announced_while_requests_are_taken(bench: Bench) -> None:
    announced: list[int] = []

    def answer(slots: memoryview, at: int) -> None:
        bench.end.slot()
        announced.append(bench.answered())

    bench.handlers[QUICK] = answer
    bench.post(20)
    bench.end.serve_now()
    assert announced == [*[0] * 8, 8, *[0] * 7, 8, *[0] * 3]
    assert bench.answered() == 4
    bench.loop.turn()
    assert bench.answered() == 0


def test_what_was_posted_before_requests_are_taken_is_announced_once(bench: Bench) -> None:
    bench.end.slot()
    bench.post()
    bench.end.serve_now()
    assert bench.answered() == 1
    bench.loop.turn()
    assert bench.answered() == 0


def test_pieces_lie_within_the_data_area(bench: Bench) -> None:
    bench.memory.data[8190:] = b"ab"
    assert bench.end.piece(8190, 2) == b"ab"
    assert bench.end.piece(8192, 0) == b""
    for offset, length in ((8191, 2), (8193, 0), (2**64 - 1, 1), (0, 8193)):
        with pytest.raises(RingError, match=f"{length} bytes at {offset} do not lie within the data area of 8192"):
            bench.end.piece(offset, length)


def test_after_its_end_nothing_is_posted_anywhere(bench: Bench) -> None:
    bench.end.slot()
    bench.end.close()
    bench.end.close()
    bench.loop.turn()
    assert bench.answered() == 0
    assert (len(bench.end.responses), len(bench.end.data)) == (0, 0)
