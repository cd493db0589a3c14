"""Queues in shared memory: whatever the two sides do at the same time, nothing is lost, doubled or put out of order."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tgtcore_ibmvio.platform.emulated.queue import Incoming, Outgoing, Place

SLOTS = 4
OFFSET = 64
LENGTH = SLOTS * 16
WAITS = 1


def element(number: int) -> bytes:
    return b"\x80" + number.to_bytes(7, "big") + number.to_bytes(8, "big")


class Pair:
    """Both ends of a small queue."""

    def __init__(self) -> None:
        self.octets = bytearray(OFFSET + LENGTH)
        words = memoryview(self.octets).cast("Q")
        self.rings = 0
        self.outgoing = Outgoing(Place(self.octets, words, OFFSET, LENGTH, WAITS), self._ring)
        self.incoming = Incoming(Place(self.octets, words, OFFSET, LENGTH, WAITS))

    def _ring(self) -> None:
        self.rings += 1


def test_a_full_queue_takes_nothing() -> None:
    pair = Pair()
    assert [pair.outgoing.put(element(n)) for n in range(5)] == [True] * SLOTS + [False]
    assert pair.incoming.take() == element(0)
    assert pair.outgoing.put(element(5))
    assert not pair.outgoing.put(element(6))
    assert [pair.incoming.take() for _ in range(5)] == [element(n) for n in (1, 2, 3, 5)] + [None]


def test_one_slot_is_left_for_an_event() -> None:
    pair = Pair()
    assert [pair.outgoing.add(element(n)) for n in range(4)] == [True] * 3 + [False]
    assert pair.outgoing.put(element(9))
    assert not pair.outgoing.put(element(10))
    assert pair.incoming.take() == element(0)
    assert not pair.outgoing.add(element(4))
    assert pair.incoming.take() == element(1)
    assert pair.outgoing.add(element(4))
    assert [pair.incoming.take() for _ in range(4)] == [element(n) for n in (2, 9, 4)] + [None]


def test_who_does_not_sleep_is_not_rung() -> None:
    pair = Pair()
    pair.outgoing.put(element(1))
    assert pair.rings == 0
    assert not pair.incoming.doze()
    assert pair.incoming.take() == element(1)
    assert pair.incoming.doze()
    pair.outgoing.put(element(2))
    pair.outgoing.put(element(3))
    assert pair.rings == 1


def test_the_word_is_taken_back_before_the_doorbell_is_rung() -> None:
    octets = bytearray(OFFSET + LENGTH)
    words = memoryview(octets).cast("Q")
    at_the_ring: list[int] = []
    place = Place(octets, words, OFFSET, LENGTH, WAITS)
    outgoing = Outgoing(place, lambda: at_the_ring.append(words[WAITS]))
    assert Incoming(place).doze()
    outgoing.put(element(1))
    assert at_the_ring == [0], "who is rung awake and sleeps again would not be rung any more"


def test_who_has_several_to_send_rings_once() -> None:
    pair = Pair()
    assert pair.incoming.doze()
    pair.outgoing.add(element(1))
    pair.outgoing.add(element(2))
    assert pair.rings == 0
    pair.outgoing.wake()
    pair.outgoing.wake()
    assert pair.rings == 1


def test_nobody_is_rung_for_nothing() -> None:
    pair = Pair()
    pair.outgoing.add(element(1))
    pair.outgoing.wake()
    assert pair.incoming.take() == element(1)
    assert pair.incoming.doze()
    pair.outgoing.wake()
    assert pair.rings == 0
    pair.outgoing.add(element(2))
    pair.outgoing.wake()
    assert pair.rings == 1


def test_who_looks_again_instead_of_sleeping_is_not_rung() -> None:
    pair = Pair()
    pair.outgoing.put(element(1))
    assert not pair.incoming.doze()
    pair.outgoing.put(element(2))
    assert pair.rings == 0
    assert [pair.incoming.take() for _ in range(3)] == [element(1), element(2), None]


def test_what_is_discarded_is_gone_and_the_next_is_heard() -> None:
    pair = Pair()
    for number in range(3):
        pair.outgoing.put(element(number))
    pair.incoming.discard()
    assert not pair.incoming.ready()
    pair.outgoing.put(element(7))
    assert pair.incoming.ready()
    assert pair.incoming.take() == element(7)


def test_the_last_bytes_are_written_first_and_each_half_at_once() -> None:
    stores: list[tuple[int, int]] = []

    class Words(list[int]):
        def __setitem__(self, at: Any, value: Any) -> None:
            stores.append((at, value))

    octets = bytearray(OFFSET + LENGTH)
    place = Place(octets, Words([0] * (len(octets) // 8)), OFFSET, LENGTH, WAITS)
    assert Outgoing(place, lambda: None).put(b"\x80abcdefgABCDEFGH")
    halves = memoryview(b"\x80abcdefgABCDEFGH").cast("Q")
    assert stores == [(OFFSET // 8 + 1, halves[1]), (OFFSET // 8, halves[0])]


class Actor:
    """A side of the queue that goes on by one access to the memory at a time."""

    def __init__(self, work: Callable[["Actor"], None]) -> None:
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.asleep = False
        self.ended = False
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.thread.start()

    def _run(self, work: Callable[["Actor"], None]) -> None:
        self._go.acquire()
        try:
            work(self)
        finally:
            self.ended = True
            self._stopped.release()

    def pause(self) -> None:
        """Let others go on."""
        self._stopped.release()
        self._go.acquire()

    def step(self) -> None:
        """Go on to the next access."""
        self._go.release()
        assert self._stopped.acquire(timeout=20)

    @property
    def ready(self) -> bool:
        return not self.asleep and not self.ended


class Stepped:
    """Memory whose every access lets others go first."""

    def __init__(self, memory: Any, actor: Actor) -> None:
        self._memory = memory
        self._actor = actor

    def __getitem__(self, at: Any) -> Any:
        self._actor.pause()
        return self._memory[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        self._actor.pause()
        self._memory[at] = value


@settings(max_examples=60)
@given(st.lists(st.integers(0, 15), min_size=10, max_size=30), st.integers(1, 6))
def test_no_order_of_steps_loses_anything(turns: list[int], count: int) -> None:
    octets = bytearray(OFFSET + LENGTH)
    words = memoryview(octets).cast("Q")
    got: list[bytes] = []
    rung = False

    def send(actor: Actor) -> None:
        outgoing = Outgoing(Place(Stepped(octets, actor), Stepped(words, actor), OFFSET, LENGTH, WAITS), ring)
        for number in range(count):
            while not outgoing.put(element(number)):
                pass

    def ring() -> None:
        nonlocal rung
        rung = True
        receiver.asleep = False

    def receive(actor: Actor) -> None:
        nonlocal rung
        incoming = Incoming(Place(Stepped(octets, actor), Stepped(words, actor), OFFSET, LENGTH, WAITS))
        while len(got) < count:
            taken = incoming.take()
            if taken is not None:
                got.append(taken)
            elif incoming.doze():
                actor.asleep = not rung
                actor.pause()
                rung = False

    sender, receiver = Actor(send), Actor(receive)
    for turn in range(2000):
        actor = (sender, receiver)[turn % 2]
        for _ in range(turns[turn] if turn < len(turns) else 3):
            if actor.ready:
                actor.step()
    assert (sender.ended, receiver.ended) == (True, True), f"somebody sleeps, or waits, for ever: {len(got)} of {count}"
    assert got == [element(number) for number in range(count)]


@given(st.binary(min_size=OFFSET + LENGTH, max_size=OFFSET + LENGTH), st.integers(1, 50))
def test_a_queue_full_of_anything_is_16_bytes_at_a_time(content: bytes, times: int) -> None:
    pair = Pair()
    pair.octets[:] = content
    for _ in range(times):
        taken = pair.incoming.take()
        assert taken is None or (len(taken) == 16 and taken[0])
        pair.incoming.doze()
        pair.outgoing.put(element(1))
    pair.incoming.discard()
    assert len(pair.octets) == OFFSET + LENGTH


@pytest.mark.parametrize("slots", [2, 256])
def test_round_and_round(slots: int) -> None:
    octets = bytearray(OFFSET + slots * 16)
    words = memoryview(octets).cast("Q")
    outgoing = Outgoing(Place(octets, words, OFFSET, slots * 16, WAITS), lambda: None)
    incoming = Incoming(Place(octets, words, OFFSET, slots * 16, WAITS))
    for number in range(slots * 3):
        assert outgoing.put(element(number))
        assert incoming.take() == element(number)
        assert not incoming.ready()
