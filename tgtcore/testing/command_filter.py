"""The conformance kit of filters on commands: what :mod:`tgtcore.command_filter` promises initiators, as tests.

Subclass it in a test module::

    class TestMyFilter(CommandFilterConformance):
        leaves_alone = (READY, INQUIRY)

        def make_filter(self) -> CommandFilter:
            return MyFilter(MyOptions())

For tests of what a filter does there is :func:`filtering`, which puts filters before a logical unit of a
:class:`~tgtcore.testing.initiator.Bench`.
"""

import gc
import json
import logging
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ImportError(f"the conformance kit needs {missing.name}; install it with: pip install pytest") from missing

from tgtcore.command_filter import CommandFilter
from tgtcore.logical_unit import LogicalUnit, Pause
from tgtcore.nexus import Tmf, TmfRequest, TmfResponse, manage
from tgtcore.options import NoOptions
from tgtcore.task import State, Task
from tgtcore.testing.blocks import BLOCK_BYTES, BlockDevice
from tgtcore.testing.initiator import Bench, Initiator, MemoryTask, Result, bench
from tgtcore.testing.ram import RamStore

READY = "00 00 00 00 00 00"
INQUIRY = "12 00 00 00 FF 00"
READ = "28 00 00 00 00 05 00 00 03 00"
SLOW_READ = "88 00 00 00 00 00 00 00 00 05 00 00 00 03 00 00"
READ_TOO_FAR = "28 00 FF FF FF FF 00 00 01 00"
WRITE = "2A 00 00 00 00 09 00 00 02 00"
FLUSH = "35 00 00 00 00 00 00 00 00 00"
UNKNOWN = "C1 00 00 00 00 00"

COMMANDS = (READY, INQUIRY, READ, SLOW_READ, READ_TOO_FAR, WRITE, FLUSH, UNKNOWN)
"""All kinds of commands: answered at once, by a worker, with data in, with data out, refused, and unknown."""

_DATA_OUT = {WRITE: b"w" * 2 * BLOCK_BYTES}
_ROUNDS = 3
_PAUSE_S = 10


@contextmanager
def filtering(
    made: Bench, *filters: CommandFilter, lu: LogicalUnit | None = None
) -> Iterator[list[tuple[CommandFilter, str]]]:
    """Put filters before a logical unit, the first one of the bench; then take them away and close them, as the daemon does.

    :returns: what they have requested so far, as (filter, action).
    """
    requests: list[tuple[CommandFilter, str]] = []
    unit = made.lus[0] if lu is None else lu
    unit.set_filters(filters, lambda *request: requests.append(request), made.loop)
    try:
        yield requests
    finally:
        unit.set_filters((), lambda *request: None, made.loop)
        with ThreadPoolExecutor(1) as threads:
            for one in filters:
                made.loop.run_until_complete(made.loop.run_in_executor(threads, one.close))


class CommandFilterConformance:
    """Tests that every filter on commands passes; a subclass says how to make one."""

    leaves_alone: ClassVar[tuple[str, ...]] = ()
    """Those of :data:`COMMANDS` that the filter neither holds nor answers."""

    def make_filter(self) -> CommandFilter:
        """A new filter; one that is on storage calls too gets a :class:`~tgtcore.testing.ram.RamStore` as its base."""
        raise NotImplementedError

    @pytest.fixture
    def made(self, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
        """A bench with one logical unit; at its end every command must have ended, and nothing failed inside."""
        with bench() as made:
            made.add(BlockDevice, RamStore(), lun=0)
            yield made
        check_nothing_failed(caplog.records)

    @pytest.fixture
    def filter(self) -> CommandFilter:
        """The filter."""
        return self.make_filter()

    def test_every_command_ends(self, made: Bench, filter: CommandFilter) -> None:
        """Once each: what a filter holds when it is removed goes on without it."""
        initiators = made.initiator(), made.initiator("iqn.2025-01.example:other", port=1)
        with filtering(made, filter):
            tasks = [task for one in initiators for task in started(one)]
        for task in tasks:
            task_ended(made, task)
            assert task.result is not None, f"{task} was not aborted, and its initiator has heard nothing"

    def test_one_at_a_time_too(self, made: Bench, filter: CommandFilter) -> None:
        """A filter may hold a command for as long as it likes, but those that it does not hold end."""
        initiator = made.initiator()
        with filtering(made, filter):
            for task in started(initiator):
                made.run_until(lambda task=task: task.state in (State.ENDED, State.HELD), str(task))

    def test_aborted_commands_end(self, made: Bench, filter: CommandFilter) -> None:
        """At once, wherever they are; afterwards the filter holds none of them."""
        initiator = made.initiator()
        with filtering(made, filter):
            tasks = started(initiator)
            answers: list[TmfResponse] = []
            manage(initiator.nexus, TmfRequest(Tmf.LOGICAL_UNIT_RESET, 0, 0), answers.append)
            made.run_until(lambda: bool(answers), "the reset")
            assert all(task.state is State.ENDED for task in tasks)
            assert not filter.held, "it holds commands that were aborted"
            assert _is_data(filter.figures())

    def test_initiators_go_away(self, made: Bench, filter: CommandFilter) -> None:
        """With commands under way, and others stay."""
        initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other", port=1)
        with filtering(made, filter):
            started(initiator)
            tasks = started(other)
            initiator.logout()
            gone = [task for task in filter.held if task.nexus is initiator.nexus]
            assert not gone, "it holds commands of an initiator that has gone away"
        for task in tasks:
            task_ended(made, task)

    @pytest.mark.parametrize("removed", ["during the pause", "after it"])
    def test_pauses(self, made: Bench, filter: CommandFilter, removed: str) -> None:
        """What is held does not keep the logical unit from being paused, and ends after that."""
        initiator = made.initiator()
        with filtering(made, filter):
            tasks = started(initiator)
            pause = Pause(made.lus[0], "a test")
            made.loop.run_until_complete(pause.begin(_PAUSE_S))
            tasks += started(initiator)
            if removed == "after it":
                pause.end()
        if removed == "during the pause":
            pause.end()
        for task in tasks:
            task_ended(made, task)

    def test_another_one_takes_its_place(self, made: Bench, filter: CommandFilter) -> None:
        """What the old one holds is no business of the new one."""
        initiator = made.initiator()
        with filtering(made, filter):
            tasks = started(initiator)
        with filtering(made, new := self.make_filter()):
            tasks += started(initiator)
            assert not set(new.held) & set(filter.held)
        for task in tasks:
            task_ended(made, task)

    def test_commands_that_came_before_it(self, made: Bench, filter: CommandFilter) -> None:
        """They may meet it when their data-out arrives, and may be aborted then; it never hears that they were accepted."""
        initiators = [made.initiator(f"iqn.2025-01.example:{number}") for number in range(2)]
        use(made, _Passing(NoOptions()))
        tasks = [one.start(WRITE, _DATA_OUT[WRITE], held=True) for one in initiators for _ in range(_ROUNDS)]
        with filtering(made, filter):
            for task in tasks:
                task.give_data()
            initiators[0].logout()
        for task in tasks:
            task_ended(made, task)

    def test_it_forgets_what_has_ended(
        self, made: Bench, filter: CommandFilter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever became of a command, its data must not stay in memory."""
        caplog.set_level(logging.ERROR)  # what is logged keeps what it speaks of
        initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other", port=1)
        use(made, _Passing(NoOptions()))
        early = [initiator.start(WRITE, _DATA_OUT[WRITE], held=True) for _ in range(2)]
        with filtering(made, filter):
            early[0].give_data()
            tasks = [*early, *started(other), *started(initiator)]
            early[1].give_data()
            initiator.logout()
        for task in tasks:
            task_ended(made, task)
        ended = [weakref.ref(task) for task in tasks]
        tasks.clear()
        early.clear()
        del task
        gc.collect()
        assert not [one for one in ended if one() is not None], "it refers to commands that have ended"

    def test_what_it_leaves_alone_is_as_without_it(self, made: Bench, filter: CommandFilter) -> None:
        """Status, sense data and data-in."""
        other = made.add(BlockDevice, RamStore(), lun=1)
        initiator = made.initiator()
        with filtering(made, filter):
            for cdb in self.leaves_alone * _ROUNDS:
                assert executed(initiator, cdb, 0) == executed(initiator, cdb, 1), f"it changes {cdb}"
        assert other.accepted == len(self.leaves_alone) * _ROUNDS

    def test_figures_and_actions(self, made: Bench, filter: CommandFilter) -> None:
        """They are data, whenever they are asked for; an action has a help that is a sentence."""
        with filtering(made, filter):
            assert _is_data(filter.figures())
            tasks = started(made.initiator())
            for action in filter.actions.values():
                assert action.help.endswith("."), f"{action.name}: the help is no sentence"
                if not action.pauses and not any(
                    field.is_required() for field in action.arguments.model_fields.values()
                ):
                    assert _is_data(getattr(filter, action.method)(action.arguments()))
                    assert _is_data(filter.figures())
        for task in tasks:
            task_ended(made, task)


class _Passing(CommandFilter):
    """Lets every command go on: what came while it was there meets the filters that are there when it runs."""

    def command(self, task: Task) -> None:
        """Nothing."""


def use(made: Bench, *filters: CommandFilter) -> None:
    """Put filters before the first logical unit of a bench, in the place of others."""
    made.lus[0].set_filters(filters, lambda *request: None, made.loop)


def started(initiator: Initiator, rounds: int = _ROUNDS) -> list[MemoryTask]:
    """Some of every kind of command, submitted one after the other."""
    return [initiator.start(cdb, _DATA_OUT.get(cdb, b""), _room(cdb)) for cdb in COMMANDS * rounds]


def executed(initiator: Initiator, cdb: str, lun: int = 0) -> Result:
    """Run one of the commands to its end."""
    return initiator.execute(cdb, _DATA_OUT.get(cdb, b""), lun=lun)


def task_ended(made: Bench, task: MemoryTask) -> None:
    """Wait for the end of a task.

    :raises TimeoutError: it does not end.
    """
    made.run_until(lambda: task.state is State.ENDED, str(task))


def check_nothing_failed(records: Sequence[logging.LogRecord]) -> None:
    """Look at what was logged.

    :raises AssertionError: something has failed inside.
    """
    failed = [record.getMessage() for record in records if record.levelno >= logging.ERROR]
    assert not failed, f"it raises what it should not: {failed[0]}"


def _room(cdb: str) -> int:
    return 0 if cdb in _DATA_OUT else 4096


def _is_data(value: Any) -> bool:
    return bool(json.loads(json.dumps(value)) == value)
