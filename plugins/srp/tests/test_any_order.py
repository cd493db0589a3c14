"""Whatever happens in whatever order: every request is answered once, and slots, memory, credits and leases come back."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tgtcore_srp.channel import Channel
from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import TaskManagementFunction as Function
from tgtcore_srp.iu.response import Response
from tgtcore_srp.memory import Memory, Share
from tgtcore_srp.quirks import Quirks

from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, REFUSED, content, read, write

if TYPE_CHECKING:
    from conftest import Bench, WireFabric

KEY = 0x5A5A
IU_BYTES = 512
LIMIT = 6
DATA_BYTES = 1500
PLENTY = 1 << 22
TABLE_AT, DATA_AT = 1 << 16, 1 << 12
FUNCTIONS = [Function.ABORT_TASK, Function.ABORT_TASK_SET, Function.CLEAR_TASK_SET, Function.LOGICAL_UNIT_RESET]
FAILURES = {Status.BUSY, Status.TASK_SET_FULL, Status.TASK_ABORTED, Status.CHECK_CONDITION}

MakeBench = Callable[..., "Bench"]
MakeFabric = Callable[..., "WireFabric"]


class Initiator:
    """One initiator that holds the target to the standard, and remembers how each of its requests has ended."""

    def __init__(self, bench: "Bench", fabric: "WireFabric", number: int, transfer_bytes_max: int | None) -> None:
        self.fabric = fabric
        self.number = number
        self.channel = fabric.channel = Channel(
            f"channel {number}", bench.port, fabric, bench.memory, Quirks(), LIMIT, transfer_bytes_max
        )
        self.end = InitiatorChannel(self._send, Rules(requests_max=LIMIT, may_request=fabric.may_request))
        self.gone = False
        self.commands: list[int] = []
        """Tags of commands, the last ones."""
        self.asked = 0
        self.ended = 0
        self.channel.when_gone(self._note_gone)

    def _note_gone(self) -> None:
        self.gone = True

    def _send(self, unit: bytes) -> None:
        slot = self.channel.slot()
        if slot is not None:
            slot.view[: len(unit)] = unit
            self.channel.receive(slot, len(unit))

    @property
    def can_send(self) -> bool:
        return self.channel.is_logged_in and self.end.room > 0

    def log_in(self) -> None:
        request = LoginRequest(1, IU_BYTES, 6, self.number.to_bytes(16, "big"), bytes(range(16)))
        self.end.login(request, self._logged_in)

    def _logged_in(self, answer: LoginResponse | LoginReject | None) -> None:
        """Rejections are for want of memory, or while the target drains, only."""

    def done(self, good: bytes | None) -> Callable[[Response | None], None]:
        """What is told of the end of a request.

        :param good: the data-in of success.
        """
        self.asked += 1
        ended = False

        def told(answer: Response | None) -> None:
            nonlocal ended
            assert not ended, "a request has ended twice"
            ended = True
            self.ended += 1
            if answer is None or answer.code is not None:
                return
            assert answer.status == Status.GOOD or answer.status in FAILURES
            if good and answer.status == Status.GOOD:
                assert self.fabric.ram[DATA_AT : DATA_AT + len(good)] == good

        return told

    def deliver(self) -> None:
        """Look at what has come."""
        units, self.fabric.sent[:] = list(self.fabric.sent), []
        for unit in units:
            self.end.receive(unit)


ENDS: dict[str, Callable[["Turmoil", Initiator], None]] = {
    "abort": lambda turmoil, one: turmoil.manage_of(one, Function.ABORT_TASK),
    "abort all": lambda turmoil, one: turmoil.manage_of(one, Function.ABORT_TASK_SET),
    "reset": lambda turmoil, one: turmoil.manage_of(one, Function.LOGICAL_UNIT_RESET),
    "reset by others": lambda turmoil, one: turmoil.others_reset(one),
    "lose": lambda turmoil, one: one.fabric.lose(),
    "disconnect": lambda turmoil, one: one.channel.disconnect("as the test wants"),
    "drop": lambda turmoil, one: turmoil.drop_session_of(one),
    "log in anew": lambda turmoil, one: turmoil.log_in(one.number, one.fabric.may_request),
    "take away": lambda turmoil, one: turmoil.away(0),
    "drain": lambda turmoil, one: turmoil.bench.host.target.leases.shut(),
}
"""What may come over a command, or over its channel."""


class Turmoil(RuleBasedStateMachine):
    """Two initiators, a third that comes and goes, and a world that does not keep still."""

    def __init__(self, make_bench: MakeBench, make_fabric: MakeFabric) -> None:
        super().__init__()
        self.make_fabric = make_fabric
        self.fails = 0
        """How many allocations from now on the next one fails; 0: none does."""
        self.transfer_bytes_max: int | None = None
        """For which each channel has memory at any time; None: for none."""
        self.budget = PLENTY
        self.bench = make_bench(memory=Memory(PLENTY, self._make))
        self.initiators: list[Initiator] = []
        self.others = Share(self.bench.memory)

    def _make(self, length: int) -> bytearray:
        if self.fails:
            self.fails -= 1
            if not self.fails:
                raise MemoryError
        return bytearray(length)

    # ---- channels -----------------------------------------------------------------------------------------------------

    @initialize(may_request=st.booleans(), promised=st.booleans())
    def begin(self, may_request: bool, promised: bool) -> None:
        if promised:
            self.transfer_bytes_max = 2 * DATA_BYTES
        for number in (1, 2):
            self.connect(number, may_request)
        self.initiators[0].fabric.moves = None
        for lun in range(2):
            self.bench.device(lun).hangs = True

    @rule(number=st.integers(1, 3), may_request=st.booleans())
    def connect(self, number: int, may_request: bool) -> None:
        """An initiator that is there already takes its own place."""
        self.log_in(number, may_request)

    def log_in(self, number: int, may_request: bool) -> None:
        try:
            one = Initiator(self.bench, self.make_fabric(may_request, IU_BYTES), number, self.transfer_bytes_max)
        except MemoryError:
            return
        one.log_in()
        one.deliver()
        self.initiators.append(one)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = self._one(data)
        how = data.draw(st.sampled_from([one.fabric.lose, self._log_out(one), lambda: one.channel.disconnect("test")]))
        how()

    def _log_out(self, one: Initiator) -> Callable[[], None]:
        def log_out() -> None:
            one.deliver()
            if one.channel.is_logged_in:
                one.end.logout()

        return log_out

    @rule(number=st.integers(1, 3))
    def drop(self, number: int) -> None:
        chosen = [one for one in self.bench.port.sessions() if one.key[0][-1] == number]
        self.bench.port.drop(chosen, "as the test wants", lambda: None)

    def _one(self, data: st.DataObject) -> Initiator:
        """One that is logged in, as long as any is."""
        there = [one for one in self.initiators if one.channel.is_logged_in]
        return data.draw(st.sampled_from(there or self.initiators))

    # ---- requests -----------------------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        kind=st.sampled_from(["ready", "held", "read", "write", "write", "table", "listed", "refused", "wrong table"]),
        lun=st.sampled_from([0, 0, 0, 1, 2]),
        length=st.integers(1, DATA_BYTES),
        attribute=st.sampled_from([0, 0, 1, 2]),
    )
    def command(self, data: st.DataObject, kind: str, lun: int, length: int, attribute: int) -> None:
        one = self._one(data)
        if not one.can_send:
            return
        cdb, good = {"ready": READY, "refused": REFUSED, "held": HELD}.get(kind, read(length)), b""
        out = in_ = None
        if kind == "write":
            cdb, out = write(length), BufferDescriptor.direct(Segment(DATA_AT, KEY, length))
        elif kind not in ("ready", "refused", "held"):
            in_ = self._room(one, kind, length)
            good = content(length) if kind != "wrong table" and not one.fabric.moving else b""
        done = one.done(good if one.fabric.moves else None)
        tag = one.end.command(lun << 48, cdb.ljust(16, b"\0"), done, out, in_, attribute)
        one.commands.append(tag)

    def _room(self, one: Initiator, kind: str, length: int) -> BufferDescriptor:
        if kind == "read":
            return BufferDescriptor.direct(Segment(DATA_AT, KEY, length))
        first = length // 3
        pieces = (Segment(DATA_AT, KEY, first), Segment(DATA_AT + first, KEY, length - first))
        table = build_table(pieces if kind != "wrong table" else pieces[::-1])
        one.fabric.ram[TABLE_AT : TABLE_AT + 32] = bytes(16) + table[16:] if kind == "wrong table" else table
        return BufferDescriptor.indirect(Segment(TABLE_AT, KEY, 32), pieces, 2 if kind == "listed" else 0)

    @rule(
        data=st.data(),
        kind=st.sampled_from(["write", "read", "table", "table of write"]),
        ends=st.lists(st.sampled_from(sorted(ENDS)), max_size=3),
    )
    def move_later(self, data: st.DataObject, kind: str, ends: list[str]) -> None:
        """A command whose RDMA goes on, and what comes before its end."""
        one = self._one(data)
        if not one.can_send:
            return
        one.fabric.moves = None
        buffer = (
            BufferDescriptor.direct(Segment(DATA_AT, KEY, 64)) if kind[:5] != "table" else self._room(one, kind, 64)
        )
        out = kind[-5:] == "write"
        cdb = (write(64) if out else read(64)).ljust(16, b"\0")
        one.commands.append(one.end.command(0, cdb, one.done(None), *((buffer, None) if out else (None, buffer))))
        for end in ends:
            ENDS[end](self, one)
            if one.fabric.moving and data.draw(st.booleans()):
                one.fabric.move(data.draw(st.booleans()), -1)

    def manage_of(self, one: Initiator, function: Function) -> None:
        """What an initiator does about its last command, or about LUN 0."""
        if one.channel.is_logged_in and one.end.credits > 0:
            one.end.manage(function, 0, one.done(None), task_tag=one.commands[-1] if one.commands else 0)

    def others_reset(self, one: Initiator) -> None:
        for other in self.initiators:
            if other is not one:
                self.manage_of(other, Function.LOGICAL_UNIT_RESET)

    def drop_session_of(self, one: Initiator) -> None:
        chosen = [session for session in self.bench.port.sessions() if one.channel in session.channels]
        self.bench.port.drop(chosen, "as the test wants", lambda: None)

    @rule(lun=st.integers(0, 1))
    def take_away(self, lun: int) -> None:
        self.away(lun)

    def away(self, lun: int) -> None:
        """A LUN is away until the last of its commands has ended."""
        target = self.bench.host.target
        if lun in target.luns.mapped():
            target.unmap(lun, lambda: target.map(lun, self.bench.host.lus[lun]))

    @rule(shut=st.sampled_from([True, False, False]))
    def drain(self, shut: bool) -> None:
        """Nobody may begin anything, or everybody may again."""
        leases = self.bench.host.target.leases
        (leases.shut if shut else leases.open)()

    @rule(data=st.data(), function=st.sampled_from(FUNCTIONS), lun=st.sampled_from([0, 0, 0, 1, 2]))
    def manage(self, data: st.DataObject, function: Function, lun: int) -> None:
        one = self._one(data)
        if one.channel.is_logged_in and one.end.credits > 0:
            tag = data.draw(st.sampled_from(one.commands[-3:] or [0]))
            one.end.manage(function, lun << 48, one.done(None), task_tag=tag)

    # ---- the world ----------------------------------------------------------------------------------------------------

    @rule(data=st.data(), moves=st.sampled_from([True, True, False, None, None]), accepts=st.booleans())
    def change_fabric(self, data: st.DataObject, moves: bool | None, accepts: bool) -> None:
        fabric = self._one(data).fabric
        fabric.moves, fabric.accepts_at_once = moves, accepts
        fabric.ends_at_once = accepts
        if accepts:
            fabric.accept()

    @precondition(lambda self: any(one.fabric.moving for one in self.initiators))
    @rule(data=st.data(), ok=st.sampled_from([True, True, True, False]))
    def move(self, data: st.DataObject, ok: bool) -> None:
        fabrics = [one.fabric for one in self.initiators if one.fabric.moving]
        fabric = data.draw(st.sampled_from(fabrics))
        fabric.move(ok, data.draw(st.integers(0, len(fabric.moving) - 1)))

    @rule(data=st.data(), count=st.integers(1, 4))
    def accept(self, data: st.DataObject, count: int) -> None:
        self._one(data).fabric.accept(count)

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self._one(data).deliver()

    @rule(lun=st.integers(0, 1), hangs=st.booleans())
    def release(self, lun: int, hangs: bool) -> None:
        """Let the device end what it has, and choose whether it is slow with writes from now on."""
        self.bench.device(lun).release()
        self.bench.device(lun).hangs = hangs

    @rule(free=st.sampled_from([0, 700, 2 * DATA_BYTES, PLENTY]))
    def press(self, free: int) -> None:
        """Others take memory, or give it back."""
        memory = self.bench.memory
        self.others.give(self.others.held_bytes)
        assert self.others.take(max(0, memory.budget_bytes - memory.held_bytes - free)) or memory.data_bytes

    @rule(countdown=st.integers(1, 4))
    def fail(self, countdown: int) -> None:
        """One of the next allocations fails."""
        self.fails = countdown

    # ---- what is always true --------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_promised_twice(self) -> None:
        for one in self.initiators:
            channel = one.channel
            if channel.is_logged_in:
                account = channel.credits
                assert 0 <= account.left <= account.limit - account.withheld
                assert channel.slots.used <= channel.slots.count
                assert account.left + account.withheld + channel.slots.used >= account.limit

    def teardown(self) -> None:
        self.fails = 0
        self.bench.host.target.leases.open()
        self.others.give(self.others.held_bytes)
        while self._settle():
            pass
        for one in self.initiators:
            if one.channel.is_logged_in:
                self._check_at_rest(one)
        self.bench.peers = self.initiators  # type: ignore[assignment]
        self.bench.end()
        for one in self.initiators:
            one.deliver()
            one.end.lost()
            assert one.asked == one.ended

    def _settle(self) -> bool:
        """Let everything go on that waits."""
        busy = False
        for lun in range(2):
            device = self.bench.device(lun)
            device.hangs = False
            busy |= bool(device.held)
            device.release()
        for one in self.initiators:
            fabric = one.fabric
            fabric.moves = fabric.accepts_at_once = True
            fabric.accept()
            while fabric.moving:
                busy = True
                fabric.move()
            if fabric.disconnected and not one.gone:
                fabric.lose()
            one.deliver()
        return busy

    def _check_at_rest(self, one: Initiator) -> None:
        """Nothing is unanswered, and the next answer brings back all credits that were withheld."""
        one.deliver()
        assert one.end.unanswered == 0, "a request has no answer"
        channel = one.channel
        assert one.end.credits == channel.credits.left > 0
        one.end.command(0, READY.ljust(16, b"\0"), one.done(None))
        one.deliver()
        assert (channel.credits.withheld, channel.credits.left, one.end.credits) == (0, LIMIT, LIMIT)
        assert channel.slots.used == 0
        assert self.bench.memory.data_bytes == 0


def test_any_order(make_bench: MakeBench, make_fabric: MakeFabric) -> None:
    run_state_machine_as_test(  # type: ignore[arg-type]
        lambda: Turmoil(make_bench, make_fabric),
        settings=settings(max_examples=60, stateful_step_count=40, deadline=None),
    )


@pytest.mark.slow
def test_any_order_for_long(make_bench: MakeBench, make_fabric: MakeFabric) -> None:
    run_state_machine_as_test(  # type: ignore[arg-type]
        lambda: Turmoil(make_bench, make_fabric),
        settings=settings(max_examples=1500, stateful_step_count=60, deadline=None),
    )
