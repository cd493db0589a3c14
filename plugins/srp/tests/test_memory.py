"""The memory of all channels, and what initiators notice of it when it is short."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.credits import REQUEST_LIMIT_MIN, Credits
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.others import CreditRequest, CreditResponse
from tgtcore_srp.memory import Memory, Share
from tgtcore_srp.slots import Slots

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
