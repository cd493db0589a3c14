"""Both ends of a ring at work in one page, and front ends that write what can't be."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tgtcore_xen.vscsiif.errors import RingBroken
from tgtcore_xen.vscsiif.layout import INDEX_MASK, PAGE_BYTES, SLOT_BYTES, SLOTS
from tgtcore_xen.vscsiif.ring import BackRing, FrontRing


def numbered(number: int) -> bytes:
    return number.to_bytes(8, "little").ljust(SLOT_BYTES, b"\xaa")


def indexes(page: bytearray) -> tuple[int, ...]:
    return struct.unpack_from("<4I", page)


def advanced(page: bytearray, front: FrontRing, index: int) -> None:
    """Let a ring be as if it had been used for long."""
    struct.pack_into("<4I", page, 0, index, (index + 1) & INDEX_MASK, index, (index + 1) & INDEX_MASK)
    front.consumer = front.producer = front._published = index


class Pair:
    def __init__(self, index: int = 0) -> None:
        self.page = bytearray(PAGE_BYTES)
        self.front = FrontRing(memoryview(self.page))
        advanced(self.page, self.front, index)
        self.back = BackRing(memoryview(self.page))


def test_layout() -> None:
    pair = Pair()
    assert indexes(pair.page) == (0, 1, 0, 1)
    pair.front.put(numbered(1))
    pair.front.put(numbered(2))
    assert indexes(pair.page) == (0, 1, 0, 1)
    assert pair.front.publish()
    assert indexes(pair.page) == (2, 1, 0, 1)
    assert pair.page[64:568] == numbered(1) + numbered(2)
    assert pair.back.take() == [numbered(1), numbered(2)]
    assert not pair.back.rest()
    assert indexes(pair.page) == (2, 3, 0, 1)
    pair.back.put(numbered(9))
    assert pair.back.publish()
    assert indexes(pair.page) == (2, 3, 1, 1)
    assert pair.page[64:316] == numbered(9)
    assert pair.back.unanswered == 1


def test_notified_only_when_that_is_wanted() -> None:
    pair = Pair()
    pair.front.put(numbered(1))
    assert pair.front.publish()
    pair.front.put(numbered(2))
    assert not pair.front.publish(), "the back end is at work and has not asked again"
    assert pair.back.take() == [numbered(1), numbered(2)]
    pair.front.put(numbered(3))
    assert not pair.front.publish()
    assert pair.back.rest(), "one has come meanwhile"
    assert pair.back.take() == [numbered(3)]
    assert not pair.back.rest()
    pair.front.put(numbered(4))
    assert pair.front.publish()
    assert not pair.front.publish(), "nothing is new"


@pytest.mark.parametrize("index", [0, 5, INDEX_MASK, INDEX_MASK - 7])
@pytest.mark.parametrize("claimed", [SLOTS + 1, 1000, INDEX_MASK])
def test_more_than_the_ring_has_room_for(index: int, claimed: int) -> None:
    pair = Pair(index)
    struct.pack_into("<I", pair.page, 0, (index + claimed) & INDEX_MASK)
    with pytest.raises(RingBroken, match=f"has put {claimed} in the ring beyond index {index}, expected 16 at most"):
        pair.back.take()
    assert pair.back.consumer == index


@pytest.mark.parametrize("index", [0, INDEX_MASK - 3])
def test_more_than_is_answered(index: int) -> None:
    """A full ring is taken; the next request would lie where a response goes."""
    pair = Pair(index)
    for number in range(SLOTS):
        pair.front.put(numbered(number))
    pair.front.publish()
    assert pair.front.room == 0
    assert pair.back.take() == [numbered(number) for number in range(SLOTS)]
    pair.back.put(numbered(0))
    struct.pack_into("<I", pair.page, 0, (index + SLOTS + 2) & INDEX_MASK)
    with pytest.raises(RingBroken, match=r"2 in the ring beyond index .* 1 at most"):
        pair.back.take()


def test_an_index_that_goes_back() -> None:
    pair = Pair(100)
    for number in range(3):
        pair.front.put(numbered(number))
    pair.front.publish()
    pair.back.take()
    struct.pack_into("<I", pair.page, 0, 102)
    with pytest.raises(RingBroken):
        pair.back.take()


def test_a_back_end_that_answers_what_was_not_asked() -> None:
    pair = Pair()
    struct.pack_into("<I", pair.page, 8, 1)
    with pytest.raises(RingBroken):
        pair.front.take()


def test_what_is_taken_is_a_copy() -> None:
    pair = Pair()
    pair.front.put(numbered(1))
    pair.front.publish()
    (taken,) = pair.back.take()
    pair.page[64:] = bytes(PAGE_BYTES - 64)
    assert taken == numbered(1)


@pytest.mark.parametrize("index", [0, INDEX_MASK])
def test_another_back_end_goes_on(index: int) -> None:
    pair = Pair(index)
    for number in range(4):
        pair.front.put(numbered(number))
    pair.front.publish()
    pair.back.take()
    pair.back.put(numbered(50))
    pair.back.publish()
    pair.back.put(numbered(51))  # not published, but in the place of a request
    again = BackRing(memoryview(pair.page))
    assert (again.consumer, again.producer) == ((index + 1) & INDEX_MASK,) * 2
    again.resume(1, 1)
    assert again.take() == [numbered(3)]
    assert again.unanswered == 2
    assert again.publish() is False, "who was notified of the last is still at it"
    assert pair.front.take() == [numbered(50), numbered(51)]


@pytest.mark.parametrize("rests", [False, True])
@pytest.mark.parametrize("index", [0, INDEX_MASK, INDEX_MASK - 6])
def test_the_page_tells_what_was_taken(index: int, rests: bool) -> None:
    pair = Pair(index)
    assert BackRing(memoryview(pair.page)).taken_before() == 0
    for number in range(8):
        pair.front.put(numbered(number))
        pair.front.publish()
        if number < 5:
            pair.back.take()
            assert BackRing(memoryview(pair.page)).taken_before() == number + 1
            if rests:
                pair.back.rest()
                assert BackRing(memoryview(pair.page)).taken_before() == number + 1
    pair.back.put(numbered(50))
    pair.back.publish()
    again = BackRing(memoryview(pair.page))
    assert again.taken_before() == 4
    assert again.unheard() == [numbered(50)]
    pair.front.take()
    pair.front.rest()
    assert again.unheard() == []
    again.resume(0, 4)
    assert again.take() == [numbered(5), numbered(6), numbered(7)]


@pytest.mark.parametrize("event", [0, 12, INDEX_MASK, 1 << 31])
def test_a_page_that_does_not_tell_what_was_taken(event: int) -> None:
    """It may be all that there is."""
    pair = Pair(100)
    for number in range(3):
        pair.front.put(numbered(number))
    pair.front.publish()
    struct.pack_into("<I", pair.page, 4, event)
    assert BackRing(memoryview(pair.page)).taken_before() == 3
    struct.pack_into("<I", pair.page, 12, event)
    assert BackRing(memoryview(pair.page)).unheard() == []


def test_a_ring_that_was_used() -> None:
    pair = Pair()
    assert not pair.back.is_used
    pair.front.put(numbered(1))
    pair.front.publish()
    assert BackRing(memoryview(pair.page)).is_used


def test_the_page_is_let_go_of() -> None:
    page = bytearray(PAGE_BYTES)
    view = memoryview(page)
    ring = BackRing(view)
    ring.release()
    view.release()
    page.append(0)  # BufferError while somebody has a view


@given(st.integers(0, INDEX_MASK), st.binary(min_size=16, max_size=16))
def test_whatever_the_header_has(index: int, header: bytes) -> None:
    pair = Pair(index)
    pair.page[:16] = header
    try:
        taken = pair.back.take()
    except RingBroken:
        return
    assert len(taken) <= SLOTS
    pair.back.rest()
    for slot in taken:
        pair.back.put(slot)
    pair.back.publish()
    assert pair.back.unanswered == 0


class Rings(RuleBasedStateMachine):
    """Requests and responses come in order, and whoever rests is notified."""

    @initialize(index=st.sampled_from([0, INDEX_MASK - 2, INDEX_MASK - 20]))
    def begin(self, index: int) -> None:
        self.pair = Pair(index)
        self.asked = self.taken = self.answered = self.heard = 0
        self.back_rests = self.front_rests = True

    # A rule that has nothing to do does nothing: one with a precondition is often the only one, and Hypothesis switches rules off.

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        front = self.pair.front
        for _ in range(data.draw(st.integers(0, front.room))):
            front.put(numbered(self.asked))
            self.asked += 1
        if front.publish():
            self.back_rests = False

    @rule(rests=st.booleans())
    def take(self, rests: bool) -> None:
        if self.back_rests:
            return
        for slot in self.pair.back.take():
            assert slot == numbered(self.taken)
            self.taken += 1
        if rests:
            self.back_rests = not self.pair.back.rest()

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        back = self.pair.back
        for _ in range(data.draw(st.integers(0, back.unanswered))):
            back.put(numbered(self.answered))
            self.answered += 1
        if back.publish():
            self.front_rests = False

    @rule()
    def hear(self) -> None:
        if self.front_rests:
            return
        for slot in self.pair.front.take():
            assert slot == numbered(self.heard)
            self.heard += 1
        self.front_rests = not self.pair.front.rest()

    @invariant()
    def nobody_sleeps_on_something(self) -> None:
        assert not self.back_rests or self.asked == self.taken
        assert not self.front_rests or self.answered == self.heard


TestRings = Rings.TestCase
TestRings.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
