"""The kit of filters on commands is judged too: sound filters pass, careless ones are caught."""

from collections.abc import Callable
from typing import Any

import pytest

from tgtcore.actions import action
from tgtcore.command_filter import CommandFilter
from tgtcore.options import NoOptions
from tgtcore.scsi.status import Status
from tgtcore.task import PENDING, Task
from tgtcore.testing.blocks import BlockDevice
from tgtcore.testing.command_filter import (
    COMMANDS,
    READ,
    READY,
    CommandFilterConformance,
    check_nothing_failed,
    filtering,
)
from tgtcore.testing.device import DeviceTypeConformance
from tgtcore.testing.initiator import Bench, bench
from tgtcore.testing.ram import RamStore


class Sound(CommandFilter):
    """Holds some, answers some, and watches all."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.running: dict[Task, None] = {}

    def accepted(self, task: Task) -> None:
        self.running[task] = None

    def command(self, task: Task) -> Any:
        if task.cdb[0] == 0x88:
            return self.hold(task, 0.001)
        if task.cdb[0] == 0x2A:
            return self.hold(task)
        return self.answer(task, Status.BUSY) if task.cdb[0] == 0x28 else None

    def ended(self, task: Task) -> None:
        del self.running[task]

    @action("Let everything go on.")
    def release(self, _: NoOptions) -> dict[str, int]:
        held = self.held
        for task in held:
            self.go_on(task)
        return {"released": len(held)}

    def figures(self) -> dict[str, Any]:
        return {"held": len(self.held), "running": len(self.running)}


class TestSound(CommandFilterConformance):
    leaves_alone = (READY,)

    def make_filter(self) -> CommandFilter:
        return Sound()


class TestNone(CommandFilterConformance):
    """A filter that does nothing."""

    leaves_alone = COMMANDS

    def make_filter(self) -> CommandFilter:
        return CommandFilter(NoOptions())


class TestBlockDevice(DeviceTypeConformance):
    """What the kit uses."""

    def add_device(self, bench: Bench) -> None:
        bench.add(BlockDevice, RamStore())


class Forgets(CommandFilter):
    """Keeps a command without holding it."""

    def command(self, task: Task) -> Any:
        return PENDING


class KeepsWhatHasEnded(CommandFilter):
    """Has a list of its own."""

    def __init__(self, options: NoOptions) -> None:
        super().__init__(options)
        self.mine: list[Task] = []

    def command(self, task: Task) -> Any:
        self.mine.append(task)
        return self.hold(task)

    @property
    def held(self) -> tuple[Task, ...]:
        return tuple(self.mine)


class Meddles(CommandFilter):
    """Changes what it claims to leave alone."""

    def command(self, task: Task) -> Any:
        return self.answer(task, Status.BUSY)


class Fails(CommandFilter):
    """Has a defect that nobody notices at once."""

    def ended(self, task: Task) -> None:
        raise KeyError(task.tag)


class TellsNoData(CommandFilter):
    """Its figures can't be sent anywhere."""

    def figures(self) -> dict[str, Any]:
        return {"when": {1, 2}}


class MumblesItsHelp(CommandFilter):
    """Nobody knows what its action does."""

    @action("release")
    def release(self, _: NoOptions) -> dict[str, Any]:
        return {}


class _Kit(CommandFilterConformance):
    leaves_alone = (READ,)


CARELESS: list[tuple[type[CommandFilter], Callable[..., None], str]] = [
    (Forgets, _Kit.test_every_command_ends, "did not come to its end"),
    (Forgets, _Kit.test_one_at_a_time_too, "did not come to its end"),
    (KeepsWhatHasEnded, _Kit.test_aborted_commands_end, "that were aborted"),
    (KeepsWhatHasEnded, _Kit.test_initiators_go_away, "that has gone away"),
    (Meddles, _Kit.test_what_it_leaves_alone_is_as_without_it, "it changes 28"),
    (TellsNoData, _Kit.test_figures_and_actions, "not JSON serializable"),
    (MumblesItsHelp, _Kit.test_figures_and_actions, "the help is no sentence"),
]


@pytest.mark.parametrize(("careless", "test", "said"), CARELESS)
def test_careless_filters_are_caught(
    monkeypatch: pytest.MonkeyPatch, careless: type[CommandFilter], test: Callable[..., None], said: str
) -> None:
    monkeypatch.setattr("tgtcore.testing.initiator._DEADLINE_S", 0.2)
    kit = _Kit()
    kit.make_filter = lambda: careless(NoOptions())  # type: ignore[method-assign]
    with bench() as made:
        made.add(BlockDevice, RamStore())
        with pytest.raises((AssertionError, TimeoutError, TypeError), match=said):
            test(kit, made, kit.make_filter())
        for task in made.lus[0].tasks():
            task.finish(Status.GOOD, b"")


def test_who_remembers_what_has_ended_is_caught(caplog: pytest.LogCaptureFixture) -> None:
    with bench() as made:
        made.add(BlockDevice, RamStore())
        with pytest.raises(AssertionError, match="it refers to commands that have ended"):
            _Kit().test_it_forgets_what_has_ended(made, KeepsWhatHasEnded(NoOptions()), caplog)


def test_what_is_only_logged_is_caught_too(caplog: pytest.LogCaptureFixture) -> None:
    with bench() as made:
        made.add(BlockDevice, RamStore())
        check_nothing_failed(caplog.records)
        with filtering(made, Fails(NoOptions())):
            made.initiator().execute(READY)
    with pytest.raises(AssertionError, match=r"it raises what it should not: .* ended\(\) of filter Fails failed"):
        check_nothing_failed(caplog.records)
