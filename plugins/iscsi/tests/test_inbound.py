from collections.abc import Iterator

import pytest
from tgtcore_iscsi.inbound import Inbound
from tgtcore_iscsi.limits import BHS_BYTES

CAPACITY = 4 * BHS_BYTES


@pytest.fixture
def inbound() -> Inbound:
    return Inbound(CAPACITY)


@pytest.fixture
def numbers() -> Iterator[int]:
    return iter(range(10**6))


def receive(inbound: Inbound, data: bytes) -> None:
    while data:
        space = inbound.space()
        count = min(len(space), len(data))
        space[:count] = data[:count]
        inbound.received(count)
        data = data[count:]


def pending(inbound: Inbound) -> bytes:
    return bytes(inbound.buffer[inbound.start : inbound.end])


def test_what_was_consumed_makes_room(inbound: Inbound) -> None:
    receive(inbound, bytes(CAPACITY))
    inbound.consumed(inbound.end)
    assert len(inbound.space()) == CAPACITY


def test_a_pdu_that_does_not_fit_behind_the_others_is_moved_to_the_start(inbound: Inbound) -> None:
    receive(inbound, b"a" * 100 + b"b" * 60)
    inbound.consumed(100)
    inbound.need(CAPACITY)
    assert (inbound.start, pending(inbound)) == (0, b"b" * 60)
    receive(inbound, b"c" * (CAPACITY - 60))
    assert pending(inbound) == b"b" * 60 + b"c" * (CAPACITY - 60)


def test_a_pdu_longer_than_the_buffer_makes_it_grow(inbound: Inbound) -> None:
    receive(inbound, b"a" * 100)
    inbound.need(10 * CAPACITY)
    receive(inbound, b"b" * (10 * CAPACITY - 100))
    assert pending(inbound) == b"a" * 100 + b"b" * (10 * CAPACITY - 100)


def test_the_space_is_never_empty(inbound: Inbound) -> None:
    receive(inbound, bytes(CAPACITY))
    inbound.consumed(CAPACITY - 1)
    assert len(inbound.space()) >= BHS_BYTES - 1


@pytest.mark.parametrize("total", [BHS_BYTES, CAPACITY, 3 * CAPACITY])
@pytest.mark.parametrize("first", [40, 100, CAPACITY - 1, CAPACITY])
def test_a_kept_view_never_changes(inbound: Inbound, first: int, total: int) -> None:
    receive(inbound, b"k" * first + b"n" * (CAPACITY - first))
    kept = memoryview(inbound.buffer)[:first]
    inbound.keep()
    inbound.consumed(first)
    inbound.need(total)
    receive(inbound, b"n" * (total - len(pending(inbound))))
    assert pending(inbound) == b"n" * max(total, CAPACITY - first)
    inbound.consumed(inbound.end)
    receive(inbound, b"x" * 3 * CAPACITY) if inbound.capacity >= 3 * CAPACITY else receive(inbound, b"x" * BHS_BYTES)
    assert kept == b"k" * first


def test_many_kept_views_share_a_buffer(inbound: Inbound, numbers: Iterator[int]) -> None:
    kept = []
    for number in range(50):
        receive(inbound, bytes([number]) * 16)
        kept.append(memoryview(inbound.buffer)[inbound.start : inbound.end])
        inbound.keep()
        inbound.consumed(inbound.end)
    assert [bytes(view) for view in kept] == [bytes([number]) * 16 for number in range(50)]
    assert len({id(view.obj) for view in kept}) < 25


def test_once_replaced_a_buffer_is_reused_again(inbound: Inbound) -> None:
    receive(inbound, bytes(CAPACITY))
    inbound.keep()
    inbound.consumed(CAPACITY)
    buffer = inbound.buffer
    for _ in range(10):
        receive(inbound, bytes(CAPACITY))
        inbound.consumed(CAPACITY)
    assert inbound.buffer is buffer
