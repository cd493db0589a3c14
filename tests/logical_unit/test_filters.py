"""Filters on the commands of a logical unit: what they may do to a task, and that each task ends exactly once whatever happens."""

from collections.abc import Iterator
from typing import Any

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.command_filter import CommandFilter
from tgtcore.device import command
from tgtcore.errors import CheckCondition, StoreError
from tgtcore.logical_unit import LogicalUnit, Pause
from tgtcore.nexus import Nexus, Tmf, TmfRequest, TmfResponse, manage
from tgtcore.options import NoOptions
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.store import OpenStore
from tgtcore.task import State, Task
from tgtcore.testing.initiator import Bench, Initiator, bench, forget_attentions
from tgtcore.testing.ram import RamStore

READ, WRITE, READY, UNKNOWN, FUA_WRITE = (
    "28 00 00000000 00 0001",
    "2a 00 00000000 00 0001",
    "00",
    "c5",
    "2a 08 00000000 00 0001",
)
RESERVE = "16"
X = b"x" * 512


class Holding(CommandFilter):
    """Holds every command, until it is told to let it go on or for some seconds."""

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__(NoOptions())
        self.seconds = seconds
        self.met: list[int] = []

    def command(self, task: Task) -> Any:
        """Hold it."""
        self.met.append(task.cdb[0])
        return self.hold(task, self.seconds)


class Noting(CommandFilter):
    """Lets everything go on, and knows what it has seen."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.met: list[int] = []

    def command(self, task: Task) -> None:
        """Note it."""
        self.met.append(task.cdb[0])


class Hearing(CommandFilter):
    """Hears of initiators only."""

    def nexus_lost(self, nexus: Nexus) -> None:
        return


class Watching(CommandFilter):
    """Is told of everything, and does nothing."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.news: list[tuple[Any, ...]] = []

    def accepted(self, task: Task) -> None:
        """Note it."""
        assert task.itl is not None
        self.news.append(("accepted", task.cdb[0]))

    def ended(self, task: Task) -> None:
        """Note how."""
        self.news.append(("ended", task.cdb[0], task.status, task.responds))

    def nexus_lost(self, nexus: Any) -> None:
        """Note whose."""
        self.news.append(("lost", nexus.initiator_port.name))


class Raising(CommandFilter):
    """Has one defect or another."""

    def __init__(self, error: Exception) -> None:
        super().__init__(NoOptions())
        self.error = error

    def command(self, task: Task) -> None:
        """Fail."""
        raise self.error


class Answering(CommandFilter):
    """Answers BUSY."""

    def command(self, task: Task) -> Any:
        """Answer."""
        return self.answer(task, Status.BUSY)


class OtherDisk(Disk):
    """Another version of the disk."""


class WantsNothing(Disk):
    """A version that wants no data for its writes any more."""

    @command(0x2A, "2A FF FF FF FF FF FF FF FF 00")
    def write_nothing(self, task: Task) -> None:
        """Take nothing."""
        return


@pytest.fixture
def store() -> RamStore:
    return RamStore()


@pytest.fixture
def made(store: RamStore) -> Iterator[Bench]:
    with bench() as made:
        made.add(Disk, store)
        yield made


@pytest.fixture
def lu(made: Bench) -> LogicalUnit:
    return made.lus[0]


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


def filtered(made: Bench, *filters: CommandFilter) -> None:
    requests: list[Any] = []
    made.lus[0].set_filters(filters, lambda *request: requests.append(request), made.loop)


def paused(made: Bench) -> Pause:
    pause = Pause(made.lus[0], "a reload")
    made.loop.run_until_complete(pause.begin(10))
    return pause


def refit(made: Bench, pause: Pause, device_type: type[Disk]) -> None:
    old = made.lus[0].store
    assert old is not None
    pause.refit(device_type, OpenStore(old.name, old.store, made.workers), DiskOptions())


def tmf(initiator: Initiator, function: Tmf, tag: int = 0) -> list[TmfResponse]:
    answers: list[TmfResponse] = []
    manage(initiator.nexus, TmfRequest(function, 0, tag), answers.append)
    return answers


def test_commands_meet_them_in_order(made: Bench, initiator: Initiator) -> None:
    first, holding, last = Noting(), Holding(), Noting()
    filtered(made, first, holding, last)
    task = initiator.start(WRITE, X)
    assert (task.state, first.met, last.met) == (State.HELD, [0x2A], [])
    assert holding.held == (task,)
    holding.go_on(task)
    assert last.met == [0x2A]
    assert initiator.finish(task).status is Status.GOOD
    assert holding.held == ()
    filtered(made)
    assert initiator.execute(READ).data == X
    assert (first.met, holding.met) == ([0x2A], [0x2A])


def test_initiators_of_before_and_after_meet_them(made: Bench, initiator: Initiator) -> None:
    initiator.execute(READY)
    noting = Noting()
    filtered(made, noting)
    initiator.execute(READY)
    made.initiator("iqn.2025-01.example:other").execute(READ)
    assert noting.met == [0x00, 0x28]


def test_held_for_some_time(made: Bench, initiator: Initiator) -> None:
    filtered(made, Holding(0.01))
    began = made.loop.time()
    assert initiator.execute(READ).data == bytes(512)
    assert made.loop.time() - began >= 0.01


def test_a_command_that_is_held_is_aborted_at_once(made: Bench, initiator: Initiator) -> None:
    holding = Holding(0.01)
    filtered(made, holding)
    aborted, reset = initiator.start(READ, data_in=512), initiator.start(WRITE, X)
    assert tmf(initiator, Tmf.ABORT_TASK, aborted.tag) == [TmfResponse.FUNCTION_COMPLETE]
    assert (aborted.state, holding.held) == (State.ENDED, (reset,))
    assert tmf(initiator, Tmf.LOGICAL_UNIT_RESET) == [TmfResponse.FUNCTION_COMPLETE]
    assert (reset.state, holding.held) == (State.ENDED, ())
    holding.go_on(reset)
    holding.go_on(aborted)
    forget_attentions(initiator.nexus)
    filtered(made)
    assert initiator.execute(READ).data == bytes(512), "an aborted write has no effect"


def test_a_lost_nexus_takes_what_is_held_with_it(made: Bench, initiator: Initiator) -> None:
    holding, watching = Holding(), Watching()
    filtered(made, holding, watching)
    initiator.start(READ, data_in=512)
    initiator.logout()
    assert holding.held == ()
    assert watching.news[-1] == ("lost", "iqn.2025-01.example:host")


@pytest.mark.parametrize("then", [(), ("last",), ("first", "last"), ("new", "last")])
def test_what_a_filter_holds_goes_on_without_it(made: Bench, initiator: Initiator, then: tuple[str, ...]) -> None:
    every = {"first": Noting(), "holding": Holding(), "last": Noting(), "new": Noting()}
    filtered(made, every["first"], every["holding"], every["last"])
    task = initiator.start(WRITE, X)
    filtered(made, *(every[name] for name in then))
    assert initiator.finish(task).status is Status.GOOD
    met = {name: one.met for name, one in every.items()}
    assert met == {"first": [0x2A], "holding": [0x2A], "last": [0x2A] if "last" in then else [], "new": []}


def test_what_stays_keeps_what_it_holds(made: Bench, initiator: Initiator) -> None:
    holding, other = Holding(), Noting()
    filtered(made, holding)
    task = initiator.start(WRITE, X)
    filtered(made, other, holding)
    assert (task.state, holding.held) == (State.HELD, (task,))
    holding.go_on(task)
    assert initiator.finish(task).status is Status.GOOD
    assert other.met == []


def test_one_holds_what_another_let_go_on(made: Bench, initiator: Initiator) -> None:
    first, second = Holding(), Holding()
    filtered(made, first, second)
    task = initiator.start(READ, data_in=512)
    first.go_on(task)
    assert (first.held, second.held) == ((), (task,))
    filtered(made, first)
    assert initiator.finish(task).data == bytes(512)


def test_an_answer(made: Bench, initiator: Initiator) -> None:
    filtered(made, Answering(NoOptions()))
    assert initiator.execute(WRITE, X).status is Status.BUSY
    holding = Holding()
    filtered(made, holding)
    task = initiator.start(WRITE, X)
    holding.answer(task, Status.TASK_SET_FULL)
    assert initiator.finish(task).status is Status.TASK_SET_FULL
    holding.answer(task, Status.GOOD)
    assert task.status == Status.TASK_SET_FULL
    filtered(made)
    assert initiator.execute(READ).data == bytes(512)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckCondition(SenseKey.NOT_READY, asc.MEDIUM_NOT_PRESENT), (SenseKey.NOT_READY, *asc.MEDIUM_NOT_PRESENT)),
        (OSError(28, "full"), (SenseKey.DATA_PROTECT, *asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)),
        (StoreError("damaged"), (SenseKey.MEDIUM_ERROR, *asc.WRITE_ERROR)),
        (ZeroDivisionError(), (SenseKey.HARDWARE_ERROR, *asc.INTERNAL_TARGET_FAILURE)),
    ],
)
def test_what_it_raises_ends_the_command(
    made: Bench, initiator: Initiator, error: Exception, code: tuple[int, int, int]
) -> None:
    filtered(made, Raising(error))
    assert initiator.execute(WRITE, X).code == code
    holding = Holding()
    filtered(made, holding, Raising(error))
    task = initiator.start(WRITE, X)
    holding.go_on(task)
    assert initiator.finish(task).code == code


def test_what_watches_is_told_of_everything(made: Bench, initiator: Initiator) -> None:
    watching = Watching()
    other = made.initiator("iqn.2025-01.example:other")
    assert other.execute(RESERVE).status is Status.GOOD
    filtered(made, watching, Holding(0.001))
    assert initiator.execute(READ).status is Status.RESERVATION_CONFLICT
    assert initiator.execute(UNKNOWN).status is Status.CHECK_CONDITION
    assert other.execute(READ).status is Status.GOOD
    aborted = other.start(READ, data_in=512)
    tmf(other, Tmf.ABORT_TASK, aborted.tag)
    assert watching.news == [
        ("accepted", 0x28), ("ended", 0x28, Status.RESERVATION_CONFLICT, True),
        ("accepted", 0xC5), ("ended", 0xC5, Status.CHECK_CONDITION, True),
        ("accepted", 0x28), ("ended", 0x28, Status.GOOD, True),
        ("accepted", 0x28), ("ended", 0x28, -1, False),
    ]  # fmt: skip


def test_what_fails_to_watch_hurts_nobody(made: Bench, initiator: Initiator, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Watching):
        def accepted(self, task: Task) -> None:
            raise ZeroDivisionError

    filtered(made, Failing())
    assert initiator.execute(READ).status is Status.GOOD
    assert "accepted() of filter Failing failed" in caplog.text


@pytest.mark.parametrize("device_type", [None, OtherDisk])
def test_what_would_go_on_during_a_pause_goes_on_after_it(
    made: Bench, initiator: Initiator, device_type: type[Disk] | None
) -> None:
    holding, last = Holding(), Noting()
    filtered(made, holding, last)
    task, aborted = initiator.start(WRITE, X), initiator.start(READ, data_in=512)
    pause = paused(made)
    holding.go_on(task)
    holding.go_on(aborted)
    assert (task.state, last.met) == (State.HELD, [])
    tmf(initiator, Tmf.ABORT_TASK, aborted.tag)
    if device_type is not None:
        refit(made, pause, device_type)
    pause.end()
    assert initiator.finish(task).status is Status.GOOD
    assert last.met == [0x2A]
    assert initiator.nexus.itl(0).commands_ended == 2  # type: ignore[union-attr]


def test_what_stays_held_meets_the_device_of_after_the_pause(made: Bench, initiator: Initiator) -> None:
    holding = Holding()
    filtered(made, holding)
    task = initiator.start(WRITE, X)
    pause = paused(made)
    refit(made, pause, WantsNothing)
    pause.end()
    assert task.state is State.HELD
    holding.go_on(task)
    assert initiator.finish(task).code == (SenseKey.ABORTED_COMMAND, *asc.DATA_PHASE_ERROR)


def test_filters_may_change_during_a_pause(made: Bench, initiator: Initiator) -> None:
    holding, last = Holding(), Noting()
    filtered(made, holding, last)
    task = initiator.start(WRITE, X)
    pause = paused(made)
    filtered(made, last)
    assert task.state is State.HELD
    pause.end()
    assert initiator.finish(task).status is Status.GOOD
    assert last.met == [0x2A]


def test_a_range_that_was_lost_meanwhile_is_not_written(
    made: Bench, lu: LogicalUnit, initiator: Initiator, store: RamStore
) -> None:
    holding = Holding()
    filtered(made, holding)
    task = initiator.start("2a 00 00000400 00 0001", X)
    made.loop.run_until_complete(lu.resize(512 * 16))
    holding.go_on(task)
    assert initiator.finish(task).code == (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    assert store.size_bytes == 512 * 16


def test_a_command_that_waits_for_its_range_meets_filters_once(made: Bench, initiator: Initiator) -> None:
    noting = Noting()
    filtered(made, noting)
    compare_and_write = "89 00 0000000000000000 00000001 00 00"
    first = initiator.start("8f 02 0000000000000000 00000001 00 00", bytes(512))
    second = initiator.start(compare_and_write.replace("00000001 00", "000000 01 00"), bytes(512) + X)
    third = initiator.start(FUA_WRITE, X)
    assert [initiator.finish(task).status for task in (first, second, third)] == [Status.GOOD] * 3
    assert noting.met == [0x8F, 0x89, 0x2A]


def test_no_filters_cost_nothing(made: Bench, lu: LogicalUnit, initiator: Initiator) -> None:
    initiator.execute(READY)
    itl = initiator.nexus.itl(0)
    assert itl is not None
    plain = itl.commands
    assert plain is lu.commands
    filtered(made, Watching())
    assert itl.barred
    filtered(made)
    assert (itl.commands, itl.barred, lu.filters) == (plain, False, None)
    made.lus[0].set_filters((), lambda *_: None, made.loop)
    assert lu.filters is None


def test_filters_that_only_hear_of_initiators_are_in_no_commands_way(
    made: Bench, lu: LogicalUnit, initiator: Initiator
) -> None:
    initiator.execute(READY)
    itl = initiator.nexus.itl(0)
    assert itl is not None
    filtered(made, Hearing(NoOptions()))
    assert (itl.commands, itl.barred) == (lu.commands, False)


def test_a_request_reaches_who_may_fulfil_it(made: Bench, lu: LogicalUnit) -> None:
    requests: list[Any] = []
    holding = Holding()
    lu.set_filters([holding], lambda *request: requests.append(request), made.loop)
    holding.request("release")
    assert requests == [(holding, "release")]


def test_a_filter_may_do_something_later_for_as_long_as_it_is_there(made: Bench) -> None:
    staying, leaving = Noting(), Noting()
    called: list[str] = []
    filtered(made, staying, leaving)
    staying.later(0.01, lambda: called.append("staying"))
    leaving.later(0.0, lambda: called.append("leaving"))
    filtered(made, staying)
    made.run_until(lambda: called, "the call")
    assert called == ["staying"]
