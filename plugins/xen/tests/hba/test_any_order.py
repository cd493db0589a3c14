"""Whatever happens in whatever order: every request is answered once, and memory, tasks, the ring and leases come back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
from tgtcore_srp.memory import Memory, Share
from tgtcore_xen.hba.journal import Journal
from tgtcore_xen.vscsiif.layout import INDEX_MASK, SLOTS, Act
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import FAILED, SUCCEEDED, Host, host_of, result, status_of

from tgtcore import InitiatorPort, TargetPort, Tmf, TmfRequest, manage
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, REFUSED, content, read, write

if TYPE_CHECKING:
    from conftest import Bench

DATA_BYTES = 5000
PLENTY = 1 << 22
OWNER = "web1/0"
STATUS = {Status.GOOD, Status.BUSY, Status.CHECK_CONDITION, Status.TASK_ABORTED, Status.TASK_SET_FULL}
HOSTS = {Host.OK, Host.NO_CONNECT, Host.ABORT, Host.ERROR, Host.RESET}
NO_CONNECT, ERROR, BUSY = result(Host.NO_CONNECT), result(Host.ERROR), result(Host.OK, Status.BUSY)

MakeBench = Callable[..., "Bench"]


class Turmoil(RuleBasedStateMachine):
    """A guest that does what it likes, in a world that does not keep still."""

    def __init__(self, make_bench: MakeBench) -> None:
        super().__init__()
        self.make_bench = make_bench
        self.fails = 0
        """How many allocations from now on the next one fails; 0: none does."""
        self.unanswered: dict[int, Request] = {}
        self.last: list[int] = []
        self.next_rqid = 0

    def _make(self, length: int) -> bytearray:
        if self.fails:
            self.fails -= 1
            if not self.fails:
                raise MemoryError
        return bytearray(length)

    # ---- connections --------------------------------------------------------------------------------------------------

    @initialize(index=st.sampled_from([0, INDEX_MASK - 9]))
    def begin(self, index: int) -> None:
        self.bench = self.make_bench(memory=Memory(PLENTY, self._make), index=index, connect=False)
        self.path = self.bench.folder / "journal"
        self.memories = [self.bench.memory]
        self.others = Share(self.bench.memory)
        self.bad: set[int] = set()
        self.bench.machine.faults.copy_fails = lambda _, reference: reference in self.bad
        self._meet()
        self.bench.connect(Journal.new(self.path, OWNER))
        for lun in range(2):
            self.bench.device(lun).hangs = True

    def _meet(self) -> None:
        """Another initiator uses the same logical units."""
        target = self.bench.host.target
        self.other = self.bench.host.open_nexus(
            target, InitiatorPort("web2", b"\2" * 24), TargetPort("web2/0", 2, 1, 4)
        )

    @rule()
    def close_and_attach(self) -> None:
        """The back end ends in order while the guest goes on, and another one takes its place."""
        bench = self.bench
        over: list[bool] = []
        bench.connection.close(lambda: over.append(True))
        self._release()
        assert over == [True]
        bench.connect(Journal.found(self.path, OWNER))

    @rule()
    def kill_and_attach(self) -> None:
        """The same without any order."""
        bench = self.bench
        self.others.give(self.others.held_bytes)
        bench.platform.die()
        bench.connection._stopped = True  # what it wanted to do in a turn to come is not done
        bench.start(Memory(PLENTY, self._make))
        self._meet()
        self.others = Share(bench.memory)
        bench.connect(Journal.found(self.path, OWNER))

    # ---- requests -----------------------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        kinds=st.lists(
            st.sampled_from(
                [
                    "ready",
                    "held",
                    "read",
                    "read",
                    "write",
                    "write",
                    "refused",
                    "wrong",
                    "abort",
                    "abort",
                    "reset",
                    "many",
                ]
            ),
            min_size=1,
            max_size=6,
        ),
        settles=st.booleans(),
    )
    def ask(self, data: st.DataObject, kinds: list[str], settles: bool) -> None:
        room = self.bench.front.ring.room
        self.bench.front.put(*[self._request(data, kind) for kind in kinds[:room]])
        if settles:
            self.settle()

    def _request(self, data: st.DataObject, kind: str) -> Request:
        front, rqid = self.bench.front, self.next_rqid
        self.next_rqid = (rqid + 1) & 0xFFFF
        lun = data.draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
        if kind == "abort":
            request = front.abort(rqid, data.draw(st.sampled_from(self.last[-4:] or [0])), lun)
        elif kind == "reset":
            request = front.reset(rqid, lun)
        elif kind == "wrong":
            request = front.command(rqid, READY)._replace(act=data.draw(st.sampled_from([0, 4, 255])))
        elif kind in ("read", "write", "many"):
            length = data.draw(st.integers(1, DATA_BYTES)) if kind != "many" else 30 * 4096
            out = kind == "write"
            segments = front.segments(length, 0 if kind == "many" else data.draw(st.integers(0, 40)))
            table = front.table(segments) if kind == "many" else segments
            if out:
                front.fill(segments, content(length))
            cdb = write(length) if out else read(length)
            request = front.command(rqid, cdb, table, out=out, lun=lun, indirect=kind == "many")
        else:
            request = front.command(rqid, {"ready": READY, "held": HELD, "refused": REFUSED}[kind], lun=lun)
        self.last.append(rqid)
        self.unanswered[rqid] = request
        return request

    @rule()
    def settle(self) -> None:
        self.bench.loop.run()
        self._read()

    @rule()
    def turn(self) -> None:
        self.bench.loop.turn()

    def _read(self) -> None:
        for response in self.bench.front.take():
            self._check(self.unanswered.pop(response.rqid), response)

    def _check(self, request: Request, response: Response) -> None:
        if request.act in (Act.ABORT, Act.RESET):
            assert response.result in (SUCCEEDED, FAILED)
        else:
            assert host_of(response.result) in HOSTS
            assert status_of(response.result) in STATUS
            assert response.residual <= (30 * 4096 if request.indirect else request.length)
            if request.lun == 3:
                assert response.result in (NO_CONNECT, BUSY, ERROR)

    # ---- the world ----------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        for lun in range(2):
            self.bench.device(lun).release()

    @rule(lun=st.integers(0, 1), hangs=st.booleans())
    def release(self, lun: int, hangs: bool) -> None:
        """Let the device end what it has, and choose whether it is slow with writes from now on."""
        self.bench.device(lun).release()
        self.bench.device(lun).hangs = hangs

    @rule(pages=st.sets(st.integers(0, 47), max_size=3))
    def fail_copies(self, pages: set[int]) -> None:
        self.bad = {self.bench.front.references[page] for page in pages}

    @rule(free=st.sampled_from([0, 3000, 2 * DATA_BYTES, PLENTY]))
    def press(self, free: int) -> None:
        """Others take memory, or give it back."""
        memory = self.bench.memory
        self.others.give(self.others.held_bytes)
        assert self.others.take(max(0, memory.budget_bytes - memory.held_bytes - free)) or memory.data_bytes

    @rule(countdown=st.integers(1, 4))
    def fail_allocation(self, countdown: int) -> None:
        self.fails = countdown

    @rule(lun=st.integers(0, 1), function=st.sampled_from([Tmf.LOGICAL_UNIT_RESET, Tmf.CLEAR_TASK_SET]))
    def other_initiator(self, lun: int, function: Tmf) -> None:
        manage(self.other, TmfRequest(function, lun << 48), lambda response: None)

    @rule(lun=st.integers(0, 1))
    def take_away(self, lun: int) -> None:
        """The devices of the guest change."""
        self.bench.devices.luns = data = 4 - self.bench.devices.luns
        assert data in (1, 3)

    # ---- what is always true --------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "bench"):
            bench = self.bench
            assert bench.broken == []
            assert bench.connection.in_flight <= SLOTS
            assert len(bench.nexus.tasks) <= SLOTS
            assert 0 <= bench.memory.data_bytes <= bench.memory.held_bytes

    @precondition(lambda self: hasattr(self, "bench"))
    @rule()
    def rest(self) -> None:
        """Everything ends that was asked for."""
        self._end_everything()
        bench = self.bench
        assert self.unanswered == {}, "a request has no answer"
        assert bench.connection.in_flight == 0
        assert not bench.nexus.tasks
        assert bench.memory.data_bytes == self.others.held_bytes
        (response,) = bench.ask(bench.front.command(self.next_rqid, b"\xa0".ljust(16, b"\0")))
        assert response.rqid == self.next_rqid

    def _end_everything(self) -> None:
        while True:
            self.settle()
            if not any(self.bench.device(lun).held for lun in range(2)):
                return
            for lun in range(2):
                self.bench.device(lun).hangs = False
                self.bench.device(lun).release()

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        self.fails, self.bad = 0, set()
        self.rest()
        self.others.give(self.others.held_bytes)
        over: list[Any] = []
        self.other.close(lambda: over.append(True))
        assert over == [True]
        self.bench.end()


def test_any_order(make_bench: MakeBench) -> None:
    run_state_machine_as_test(  # type: ignore[arg-type]
        lambda: Turmoil(make_bench),
        settings=settings(max_examples=30, stateful_step_count=40, deadline=None),
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_any_order_for_long(make_bench: MakeBench) -> None:
    run_state_machine_as_test(  # type: ignore[arg-type]
        lambda: Turmoil(make_bench),
        settings=settings(max_examples=500, stateful_step_count=60, deadline=None),
    )
