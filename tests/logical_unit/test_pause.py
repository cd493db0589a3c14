"""A logical unit that is paused under load, and gets another device or store meanwhile: initiators notice a delay."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.device import command
from tgtcore.errors import Draining, DrainTimeout
from tgtcore.logical_unit import LogicalUnit, Pause
from tgtcore.nexus import Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.store import Features, OpenStore, Store
from tgtcore.task import Attribute, State, Task
from tgtcore.testing.initiator import Bench, Initiator, bench, forget_attentions
from tgtcore.testing.ram import RamStore

READ, WRITE, READY, INQUIRY = "28 00 00000000 00 0001", "2a 00 00000000 00 0001", "00", "12 00 00 00 FF"
SENSE_CACHING, FLUSH, UNMAP = "1A 08 08 00 FF", "35", "42 00 00 00 00 00 00 0018"
X, Y = b"x" * 512, b"y" * 512
NOT_READY = (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_OFFLINE)


class GatedStore(RamStore):
    """A flush may be made to wait for the test on its worker."""

    def __init__(self) -> None:
        super().__init__()
        self.may_flush = threading.Event()
        self.may_flush.set()

    def flush(self) -> None:
        assert self.may_flush.wait(10)
        super().flush()


class OtherDisk(Disk):
    """Another version of the disk."""


class Unfit(Disk):
    """A version that can't be made."""

    def __init__(self, *args: Any) -> None:
        raise ZeroDivisionError


class WantsNothing(OtherDisk):
    """A version that wants no data for its writes any more."""

    @command(0x2A, "2A FF FF FF FF FF FF FF FF 00")
    def write_nothing(self, task: Task) -> None:
        return


def _raises(device: Any, task: Task) -> int:
    raise ZeroDivisionError


class Raises(OtherDisk):
    """A version with a defect."""

    @command(0x2A, "2A FF FF FF FF FF FF FF FF 00", wants=_raises)
    def write_never(self, task: Task) -> None:
        return


@pytest.fixture
def store() -> Iterator[GatedStore]:
    store = GatedStore()
    yield store
    store.may_flush.set()


@pytest.fixture
def made(store: GatedStore) -> Iterator[Bench]:
    with bench() as made:
        made.add(Disk, store)
        yield made
        store.may_flush.set()


@pytest.fixture
def lu(made: Bench) -> LogicalUnit:
    return made.lus[0]


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


def paused(made: Bench, timeout_s: float = 10) -> Pause:
    pause = Pause(made.lus[0], "a reload")
    made.loop.run_until_complete(pause.begin(timeout_s))
    return pause


def another(made: Bench, store: Store | None = None) -> OpenStore:
    """Another view of the store, or a view of another store."""
    old = made.lus[0].store
    assert old is not None
    return OpenStore(old.name, store or old.store, made.workers)


def tmf(initiator: Initiator, function: Tmf, tag: int = 0) -> list[TmfResponse]:
    answers: list[TmfResponse] = []
    manage(initiator.nexus, TmfRequest(function, 0, tag), answers.append)
    return answers


def attentions(initiator: Initiator) -> list[tuple[int, int]]:
    itl = initiator.nexus.itl(0)
    assert itl is not None
    return list(itl.attentions)


@pytest.mark.parametrize("refits", [False, True])
def test_commands_wait_in_order_and_then_go_on(made: Bench, initiator: Initiator, refits: bool) -> None:
    late = initiator.start(WRITE, X, held=True)
    pause = paused(made)
    order: list[str] = []
    tasks = {"ordered": initiator.start(READ, data_in=512, attribute=Attribute.ORDERED)}
    tasks["simple"] = initiator.start(WRITE, Y)
    tasks["urgent"] = initiator.start(READ, data_in=512, attribute=Attribute.HEAD_OF_QUEUE)
    late.give_data()
    assert [task.state for task in tasks.values()] == [State.DORMANT] * 3
    assert late.state is State.HELD
    for name, task in {**tasks, "late": late}.items():
        task.when_ended(lambda name=name: order.append(name))  # type: ignore[misc]
    if refits:
        pause.refit(Disk, another(made), DiskOptions())
    pause.end()
    assert order == ["late", "urgent", "ordered", "simple"]
    assert [initiator.finish(tasks[name]).data for name in ("urgent", "ordered")] == [X, X]
    assert initiator.execute(READ).data == Y
    assert attentions(initiator) == []


def test_it_waits_for_what_runs(made: Bench, lu: LogicalUnit, initiator: Initiator, store: GatedStore) -> None:
    store.may_flush.clear()
    running = initiator.start(FLUSH)
    begin = made.loop.create_task(Pause(lu, "a reload").begin(10))
    made.loop.run_until_complete(asyncio.sleep(0))
    waiting = initiator.start(READY)
    assert not begin.done()
    store.may_flush.set()
    made.loop.run_until_complete(begin)
    assert (running.state, waiting.state) == (State.ENDED, State.DORMANT)
    assert lu.pause is not None
    lu.pause.end()
    assert initiator.finish(waiting).status is Status.GOOD


def test_it_gives_up_in_time_and_says_who_was_busy(
    made: Bench, lu: LogicalUnit, initiator: Initiator, store: GatedStore
) -> None:
    store.may_flush.clear()
    running = initiator.start(FLUSH)
    begin = made.loop.create_task(Pause(lu, "a reload").begin(0.01))
    made.loop.run_until_complete(asyncio.sleep(0))
    waiting = initiator.start(READY)
    with pytest.raises(DrainTimeout, match=r"lu0 was still busy after 0.01 s with: task 0x1 \(SYNCHRONIZE CACHE"):
        made.loop.run_until_complete(begin)
    assert initiator.finish(waiting).status is Status.GOOD
    assert running.state is State.RUNNING
    assert lu.pause is None
    store.may_flush.set()
    initiator.finish(running)


def test_it_waits_for_jobs_without_a_task(made: Bench, lu: LogicalUnit) -> None:
    assert lu.store is not None
    with lu.store.leases.lease("a flush for nobody"), pytest.raises(DrainTimeout, match="a flush for nobody"):
        paused(made, 0.01)
    paused(made).end()


def test_one_at_a_time(made: Bench, lu: LogicalUnit) -> None:
    pause = paused(made)
    with pytest.raises(DrainTimeout, match="another change of its store"):
        paused(made, 0.01)
    resize = made.loop.create_task(lu.resize(1 << 19))
    made.loop.run_until_complete(asyncio.sleep(0))
    pause.refit(Disk, another(made), DiskOptions())
    pause.end()
    made.loop.run_until_complete(resize)
    device: Any = lu.device
    assert device.blocks == 1024


def test_what_goes_away_is_not_paused(made: Bench, lu: LogicalUnit) -> None:
    lu.leases.shut()
    with pytest.raises(Draining, match="lu0 is going away; a reload may not start using it"):
        paused(made)
    assert not lu.changing.locked()


def test_removal_waits_for_the_end_of_it(made: Bench, lu: LogicalUnit) -> None:
    pause = paused(made)
    removal = made.loop.create_task(lu.leases.drain(None))
    made.loop.run_until_complete(asyncio.sleep(0))
    assert [holder.name for holder in lu.leases.holders()] == ["a reload"]
    pause.end()
    made.loop.run_until_complete(removal)


def test_held_commands_are_aborted_as_ever(made: Bench, initiator: Initiator) -> None:
    other = made.initiator("iqn.2025-01.example:other")
    late = initiator.start(WRITE, X, held=True)
    pause = paused(made)
    late.give_data()
    dormant, theirs = initiator.start(READ, data_in=512), other.start(READY)
    assert tmf(initiator, Tmf.ABORT_TASK, dormant.tag) == [TmfResponse.FUNCTION_COMPLETE]
    assert (dormant.state, late.state) == (State.ENDED, State.HELD)
    assert tmf(initiator, Tmf.LOGICAL_UNIT_RESET) == [TmfResponse.FUNCTION_COMPLETE]
    assert late.state is State.ENDED
    assert other.finish(theirs).status is Status.TASK_ABORTED
    pause.end()
    code = (SenseKey.UNIT_ATTENTION, *asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED)
    assert [one.execute(READ).code for one in (initiator, other)] == [code, code]
    assert initiator.execute(READ).data == bytes(512)


def test_a_nexus_may_be_lost_and_another_come(made: Bench, initiator: Initiator) -> None:
    pause = paused(made)
    lost = initiator.start(READY)
    initiator.logout()
    second = made.initiator()
    waiting = second.start(READ, data_in=512)
    assert (lost.state, waiting.state) == (State.ENDED, State.DORMANT)
    pause.refit(OtherDisk, another(made), DiskOptions())
    pause.end()
    assert second.finish(waiting).data == bytes(512)


def test_a_lun_may_be_unmapped(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    pause = paused(made)
    waiting, gone = initiator.start(READY), []
    made.target.unmap(0, lambda: gone.append(True))
    assert initiator.finish(waiting).status is Status.TASK_ABORTED
    assert gone == [True]
    pause.end()
    assert lu.itls == {}


def test_a_reset_reaches_the_device_that_is_there_afterwards(
    made: Bench, lu: LogicalUnit, initiator: Initiator
) -> None:
    mode = bytes.fromhex("00000000 0812 00 00 00000000000000000000000000000000".replace(" ", ""))
    assert initiator.execute("15 10 00 00 18", mode).status is Status.GOOD
    device: Any = lu.device
    assert device.write_through
    pause = paused(made)
    tmf(initiator, Tmf.LOGICAL_UNIT_RESET)
    assert device.write_through, "the old device is left alone"
    pause.refit(OtherDisk, another(made), DiskOptions())
    pause.end()
    now: Any = lu.device
    assert not now.write_through


def test_the_state_of_the_device_goes_on(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    mode = bytes.fromhex("00000000 0812 00 00 00000000000000000000000000000000".replace(" ", ""))
    assert initiator.execute("15 10 00 00 18", mode).status is Status.GOOD
    assert initiator.execute("1B 00 00 00 04").status is Status.GOOD  # stop, without a flush
    before = [initiator.execute(cdb).data for cdb in (INQUIRY, SENSE_CACHING)]
    counters = lu.device.statistics()
    pause = paused(made)
    pause.refit(Disk, another(made), DiskOptions())
    pause.end()
    assert [initiator.execute(cdb).data for cdb in (INQUIRY, SENSE_CACHING)] == before
    assert initiator.execute(READ).code[0] == SenseKey.NOT_READY
    assert lu.device.statistics() == counters


def test_what_can_not_go_on_is_told(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    mode = bytes.fromhex("00000000 0812 00 00 00000000000000000000000000000000".replace(" ", ""))
    assert initiator.execute("15 10 00 00 18", mode).status is Status.GOOD
    old = lu.store
    assert old is not None
    view = OpenStore(old.name, old.store, made.workers, read_only=True)
    pause = paused(made)
    pause.refit(Disk, view, DiskOptions(write_cache=False))
    pause.end()
    assert attentions(initiator) == [asc.INQUIRY_DATA_HAS_CHANGED]


def test_a_lu_that_is_offline_stays_so(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    pause = paused(made)
    lu.set_online(False)
    pause.refit(OtherDisk, another(made), DiskOptions())
    pause.end()
    forget_attentions(initiator.nexus)
    assert initiator.execute(READ).code == NOT_READY
    lu.set_online(True)
    assert initiator.execute(READ).data == bytes(512)


def test_another_device_is_new_microcode_and_another_size_is_told(made: Bench, initiator: Initiator) -> None:
    pause = paused(made)
    pause.refit(OtherDisk, another(made, RamStore(1 << 21)), DiskOptions())
    pause.end()
    assert attentions(initiator) == [asc.CAPACITY_DATA_HAS_CHANGED, asc.MICROCODE_HAS_BEEN_CHANGED]


def test_a_device_that_does_not_fit_changes_nothing(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    before = lu.device, lu.store, lu.commands
    pause = paused(made)
    waiting = initiator.start(READ, data_in=512)
    with pytest.raises(ZeroDivisionError):
        pause.refit(Unfit, another(made), DiskOptions())
    pause.end()
    assert (lu.device, lu.store, lu.commands) == before
    assert initiator.finish(waiting).data == bytes(512)


def test_a_command_that_is_not_there_any_more_is_refused(made: Bench, initiator: Initiator) -> None:
    class Thick(RamStore):
        def features(self) -> Features:
            return super().features() & ~Features.UNMAP

    pause = paused(made)
    waiting = initiator.start(UNMAP, bytes(24))
    pause.refit(Disk, another(made, Thick(1 << 20)), DiskOptions())
    pause.end()
    assert initiator.finish(waiting).code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_COMMAND_OPERATION_CODE)


def test_data_that_nobody_wants_any_more_ends_its_command(made: Bench, initiator: Initiator) -> None:
    waiting = initiator.start(WRITE, X, held=True)
    pause = paused(made)
    pause.refit(WantsNothing, another(made), DiskOptions())
    pause.end()
    assert initiator.finish(waiting).code == (SenseKey.ABORTED_COMMAND, *asc.DATA_PHASE_ERROR)


def test_data_may_come_after_the_pause(made: Bench, initiator: Initiator) -> None:
    late = initiator.start(WRITE, X, held=True)
    pause = paused(made)
    pause.refit(OtherDisk, another(made), DiskOptions())
    pause.end()
    assert late.state is State.DATA
    late.give_data()
    assert initiator.finish(late).status is Status.GOOD
    forget_attentions(initiator.nexus)
    assert initiator.execute(READ).data == X


def test_a_new_version_that_raises_disturbs_no_other_command(made: Bench, initiator: Initiator) -> None:
    first, second = initiator.start(WRITE, X, held=True), initiator.start(WRITE, X, held=True)
    pause = paused(made)
    first.give_data()
    waiting = initiator.start(READ, data_in=512)
    pause.refit(Raises, another(made), DiskOptions())
    pause.end()
    internal = (SenseKey.HARDWARE_ERROR, *asc.INTERNAL_TARGET_FAILURE)
    assert [initiator.finish(task).code for task in (first, second)] == [internal, internal]
    assert initiator.finish(waiting).data == bytes(512)


def slots(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__slots__ if name != "__weakref__"}


def test_a_pause_leaves_no_trace_on_the_way_of_a_command(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    late = initiator.start(WRITE, X, held=True)
    (itl,) = lu.itls
    command, before = late.command, [*map(slots, (lu, itl, itl.task_set))]
    paused(made).end()
    assert [*map(slots, (lu, itl, itl.task_set))] == before
    assert late.command is command
    late.give_data()
    assert initiator.finish(late).status is Status.GOOD


def test_a_pause_tells_how_long_nothing_could_start(made: Bench, initiator: Initiator) -> None:
    pause = paused(made)
    began = made.loop.time()
    waiting = initiator.start(READ)
    ended = made.loop.time()
    pause.end()
    assert waiting.state is State.ENDED
    assert pause.lasted_s >= ended - began
