"""The memory of all channels, and what initiators notice of it when it is short."""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_srp.credits import REQUEST_LIMIT_MIN, Credits
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import TABLES_BYTES_MAX, BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginReject, LoginResponse
from tgtcore_srp.iu.opcodes import RejectReason
from tgtcore_srp.iu.others import CreditRequest, CreditResponse
from tgtcore_srp.memory import Memory, Share
from tgtcore_srp.slots import RESERVE, Slots

from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

if TYPE_CHECKING:
    from conftest import Bench, Peer

KEY = 0x5A5A
MakeBench = Callable[..., "Bench"]


def test_slots_are_within_the_budget() -> None:
    memory = Memory(1000)
    slots = Slots(memory, 100)
    assert slots.ensure(4)
    assert slots.ensure(4)
    assert (slots.count, len(slots.free), memory.held_bytes) == (4, 4, 400)
    assert not slots.ensure(11)
    assert (slots.count, memory.held_bytes, memory.refusals) == (4, 400, 1)
    slot = slots.free.pop()
    assert (len(slot.view), slots.used) == (100, 1)
    slot.sent()
    assert slots.used == 0
    slots.release()
    slots.release()
    assert memory.held_bytes == 0


def test_slots_that_the_machine_has_no_memory_for() -> None:
    def make(length: int) -> bytearray:
        raise MemoryError

    memory = Memory(1000, make)
    assert not Slots(memory, 100).ensure(2)
    assert (memory.held_bytes, memory.refusals) == (0, 2)


def test_one_command_may_go_on_however_large_it_is() -> None:
    memory = Memory(1000)
    first, second = Share(memory), Share(memory)
    assert first.take(5000)
    assert not second.take(1)
    first.give(5000)
    assert second.take(1)
    assert not first.take(5000)
    second.give(1)
    assert (memory.held_bytes, memory.data_bytes, memory.refusals) == (0, 0, 2)


def test_who_shares_leaves_as_much_as_he_has() -> None:
    memory = Memory(1000)
    first, second = Share(memory), Share(memory)
    memory.sharers = 2
    assert first.take(500)
    assert not first.take(1)
    assert second.take(250)
    assert not second.take(1)
    memory.sharers = 1
    assert first.take(250)
    assert not first.take(1)


def test_what_was_promised_is_there_whatever_others_take() -> None:
    memory = Memory(1000)
    first, second = Share(memory), Share(memory)
    memory.sharers = 2
    assert first.promise(300)
    assert first.promise(200)
    assert memory.held_bytes == 300
    assert second.take(350)
    assert not second.take(1)
    assert first.take(300)
    assert not first.take(200)
    assert (memory.held_bytes, memory.data_bytes) == (650, 650)
    second.give(350)
    assert not second.promise(701)
    assert second.promise(700)
    assert memory.held_bytes == 1000
    first.give(300)
    first.release()
    first.release()
    second.release()
    assert (memory.held_bytes, memory.data_bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400), st.booleans()), max_size=60))
def test_what_is_held_is_what_was_promised_or_more_is_in_use(steps: list[tuple[int, int, bool]]) -> None:
    memory = Memory(1000)
    shares = [Share(memory) for _ in range(3)]
    memory.sharers = len(shares)
    for share, length in zip(shares, (0, 100, 300), strict=True):
        assert share.promise(length)
    taken: list[list[int]] = [[], [], []]
    for number, length, takes in steps:
        share = shares[number]
        if not takes and taken[number]:
            share.give(taken[number].pop(length % len(taken[number])))
        elif share.take(length):
            taken[number].append(length)
        else:
            assert share.held_bytes + length > share.promised_bytes
        assert share.held_bytes == sum(taken[number])
        assert memory.data_bytes == sum(map(sum, taken))
        assert memory.held_bytes == sum(max(one.promised_bytes, one.held_bytes) for one in shares)


def test_memory_is_short_until_half_of_it_is_free() -> None:
    memory = Memory(1000)
    assert memory.reserve(200)
    told: list[str] = []
    share = Share(memory)
    assert share.take(700)
    assert not share.take(200)
    assert memory.short
    memory.when_eased(lambda: told.append("first"))
    forgotten = told.clear
    memory.when_eased(forgotten)
    memory.forget(forgotten)
    share.give(200)
    assert (memory.short, told) == (True, [])
    share.give(100)
    assert (memory.short, told) == (False, ["first"])


@pytest.mark.parametrize("silent", [0, 3])
def test_request_limits_shrink_while_memory_is_short(silent: int) -> None:
    """Not below what an initiator needs; then all comes back at once."""
    memory = Memory(1000)
    share = Share(memory)
    share.take(900)
    share.take(200)
    account = Credits(10, memory, lambda: None)
    account.left = 0
    for _ in range(silent):
        account.ended_in_silence()
    deltas = [account.delta() for _ in range(10 - silent)]
    assert sum(deltas) == REQUEST_LIMIT_MIN
    assert account.left == REQUEST_LIMIT_MIN
    share.give(900)
    account.left -= 1
    assert account.delta() == 10 - REQUEST_LIMIT_MIN + 1
    assert (account.left, account.withheld) == (10, 0)


# ---- as initiators see it -------------------------------------------------------------------------------------------------


def _table(peer: "Peer", tag: int) -> None:
    peer.fabric.ram[8192:8208] = build_table((Segment(0, KEY, 64),))
    buffer = BufferDescriptor.indirect(Segment(8192, KEY, 16), (Segment(0, KEY, 64),), 0)
    peer.request(Command(tag, 0, 0, read(64).ljust(16, b"\0"), 0, None, buffer).build())


KINDS: dict[str, Callable[["Peer", int], None]] = {
    "write": lambda peer, tag: peer.command(tag, write(64), content(64)),
    "table": _table,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_allocation_fails_once(make_bench: MakeBench, kind: str) -> None:
    """BUSY, before any data was moved; the next one is served."""
    fails = False

    def make(length: int) -> bytearray:
        if fails:
            raise MemoryError
        return bytearray(length)

    bench = make_bench(memory=Memory(1 << 20, make))
    peer = bench.session()
    fails = True
    KINDS[kind](peer, 1)
    answer = peer.answer()
    assert (answer.status, answer.delta) == (Status.BUSY, 1)
    assert bench.device().written == b""
    assert peer.fabric.moves_begun == 0
    fails = False
    KINDS[kind](peer, 2)
    assert peer.answer().status == Status.GOOD
    bench.assert_at_rest()
    bench.end()


def test_the_smallest_budget(make_bench: MakeBench) -> None:
    """Each command is served alone; what comes meanwhile hears TASK SET FULL, and nothing is lost."""
    bench = make_bench((8 + 4) * 4096)
    peer = bench.session()
    device = bench.device()
    device.hangs = True
    peer.command(1, write(1000), content(1000))
    peer.command(2, read(1), room=1, at=4096)
    answer = peer.answer()
    assert (answer.tag, answer.status, answer.delta) == (2, Status.TASK_SET_FULL, 0)
    device.release()
    answer = peer.answer()
    assert (answer.tag, answer.status, answer.delta) == (1, Status.GOOD, 2)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("out", [True, False])
def test_at_the_least_budget_all_who_try_again_are_served(make_bench: MakeBench, out: bool) -> None:
    """Some who always want as many of the largest commands as they may send, each in its turn, and one who wants a little."""
    most, rounds, numbers = 1 << 15, 10, range(1, 10)
    each = (32 + RESERVE) * 4096 + most + TABLES_BYTES_MAX
    bench = make_bench(len(numbers) * each)
    peers = [bench.session(number, limit=32, transfer_bytes_max=most) for number in numbers]
    *greedy, small = peers
    served = dict.fromkeys(peers, 0)
    tags = count(1)
    bench.device().hangs = True
    for _ in range(rounds):
        for peer in greedy:
            peer.fabric.moves = True if out else None
            while peer.credits > 0:
                peer.command(next(tags), *((write(most), bytes(most)) if out else (read(most), b"", most)))
        small.command(next(tags), read(512), room=512, lun=1 << 48)
        assert bench.memory.held_bytes <= bench.memory.budget_bytes
        bench.device().hangs = True
        bench.device().release()
        for peer in peers:
            while peer.fabric.moving:
                peer.fabric.move()
            for answer in peer.answers():
                assert answer.status in (Status.GOOD, Status.TASK_SET_FULL)
                served[peer] += answer.status == Status.GOOD
    assert served[small] == rounds
    assert min(served[peer] for peer in greedy) >= rounds
    bench.assert_at_rest()
    bench.end()


def test_a_login_has_memory_for_the_largest_command(make_bench: MakeBench) -> None:
    most = 1 << 15
    bench = make_bench((8 + RESERVE) * 4096 + most + TABLES_BYTES_MAX - 1)
    peer = bench.peer(transfer_bytes_max=most)
    rejected = peer.log_in()
    assert isinstance(rejected, LoginReject)
    assert rejected.reason == RejectReason.INSUFFICIENT_RESOURCES
    bench.memory.budget_bytes += 1
    assert isinstance(peer.log_in(), LoginResponse)
    bench.assert_at_rest()
    bench.end()


BUFFERS: dict[str, tuple[BufferDescriptor | None, BufferDescriptor | None]] = {
    "out": (BufferDescriptor.direct(Segment(0, KEY, 1001)), None),
    "in": (None, BufferDescriptor.direct(Segment(0, KEY, 1001))),
    "both": (BufferDescriptor.direct(Segment(0, KEY, 1)), BufferDescriptor.direct(Segment(0, KEY, 1000))),
    "table": (None, BufferDescriptor.indirect(Segment(0, KEY, 16), (Segment(0, KEY, 1001),), 0)),
}


@pytest.mark.parametrize("buffers", BUFFERS.values(), ids=BUFFERS)
def test_more_than_a_transfer_may_have(
    make_bench: MakeBench, buffers: tuple[BufferDescriptor | None, BufferDescriptor | None]
) -> None:
    """It is refused, for it might never get its memory."""
    bench = make_bench()
    peer = bench.session(transfer_bytes_max=1000)
    peer.request(Command(1, 0, 0, write(1).ljust(16, b"\0"), 0, *buffers).build())
    answer = peer.answer()
    assert (answer.status, answer.delta) == (Status.CHECK_CONDITION, 1)
    assert parse_sense(answer.sense) == Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB)
    assert (peer.fabric.moves_begun, bench.memory.refusals, peer.channel.complaints) == (0, 0, 1)
    peer.command(2, write(1000), content(1000))
    assert peer.answer().status == Status.GOOD
    bench.assert_at_rest()
    bench.end()


def test_an_initiator_that_is_idle_is_told_of_more_credits(make_bench: MakeBench) -> None:
    """With a request of the target, one at a time."""
    bench = make_bench(2 * (8 + 4) * 4096 + 10_000)
    peer, other = bench.session(1, may_request=True), bench.session(2)
    bench.device().hangs = True
    other.command(1, write(6000), content(6000))
    for tag in range(3):
        peer.command(tag, read(4000), room=4000)
    assert [(one.status, one.delta) for one in peer.answers()] == [(Status.BUSY, 0)] * 3
    assert peer.credits == 8 - 3
    peer.command(3, READY)
    assert peer.answer().delta == 0
    bench.device().release()
    assert other.answer().status == Status.GOOD
    (request,) = peer.receive()
    assert request == CreditRequest(1, 4)
    peer.send(CreditResponse(1).build())
    bench.assert_at_rest()
    bench.end()


def test_the_data_that_has_been_moved_counts_until_the_answer(bench: "Bench") -> None:
    peer = bench.session()
    peer.fabric.moves = None
    peer.command(1, read(512), room=512)
    peer.command(2, HELD)
    assert bench.memory.data_bytes == 512
    peer.fabric.move()
    assert bench.memory.data_bytes == 0
    bench.end()
