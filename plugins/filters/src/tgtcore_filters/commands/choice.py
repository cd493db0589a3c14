"""Which commands a filter is about: the options that filters share, and what they mean."""

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from pydantic import Field, StrictInt, StrictStr, field_validator

from tgtcore import CommandFilter, Task
from tgtcore.scsi.cdb import service_action
from tgtcore_filters.commands.blocks import EVERY_BLOCK, Blocks
from tgtcore_filters.commands.command_names import codes_of
from tgtcore_filters.occasions import OccasionOptions, Occasions

_WORDS_MAX = 256

Condition = Callable[[Task], bool]


class ChoiceOptions(OccasionOptions):
    """The keys by which users choose commands; without any of them a filter is about every command."""

    commands: tuple[StrictStr | StrictInt, ...] = Field(
        (), max_length=_WORDS_MAX, description='names as in `"READ (10)"`, `"READ"`, `"writes"`, or operation codes'
    )
    lba: tuple[StrictStr | StrictInt, ...] = Field(
        (),
        max_length=_WORDS_MAX,
        description='commands about any of these blocks: addresses, or ranges as in `"0-2047"`',
    )
    initiators: tuple[str, ...] = Field(
        (),
        max_length=_WORDS_MAX,
        description="names of initiators; `*`, `?` and `[...]` stand for what they do in a shell",
    )

    @field_validator("commands", "lba", "initiators", mode="before")
    @classmethod
    def _one_is_enough(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("commands")
    @classmethod
    def _names_are_known(cls, value: tuple[str | int, ...]) -> tuple[str | int, ...]:
        codes_of(value)
        return value

    @field_validator("lba")
    @classmethod
    def _ranges_are_ranges(cls, value: tuple[str | int, ...]) -> tuple[str | int, ...]:
        Blocks(value)
        return value


class Choice:
    """Chooses commands, one after the other.

    :param options: which ones.
    """

    def __init__(self, options: ChoiceOptions) -> None:
        self._blocks = Blocks(options.lba) if options.lba else EVERY_BLOCK
        self._conditions = tuple(_conditions(options, self._blocks))
        self._occasions = Occasions(options)

    def takes(self, task: Task) -> bool:
        """Whether a command is chosen; asked once for each, in their order."""
        for true in self._conditions:
            if not true(task):
                return False
        return bool(self._occasions.strike())

    @property
    def chosen(self) -> int:
        """How many were."""
        return self._occasions.strikes

    def first_block(self, task: Task) -> int | None:
        """The lowest address of the blocks that a command and this choice are about; None: the command is about none."""
        return self._blocks.first(_addressed(task))

    def figures(self) -> dict[str, int]:
        """For :meth:`~tgtcore.Operable.figures`."""
        return {"matched": self._occasions.candidates, "chosen": self._occasions.strikes}


class ChoosingFilter(CommandFilter):
    """A filter that does something to the commands that its user has chosen, and to no other one."""

    Options: "ClassVar[type[ChoiceOptions]]" = ChoiceOptions  # not evaluated: typing would keep the class for ever

    def __init__(self, options: ChoiceOptions) -> None:
        super().__init__(options)
        self.choice = Choice(options)

    def command(self, task: Task) -> Any:
        """Do it, or let the command go on."""
        return self.meet(task) if self.choice.takes(task) else None

    def meet(self, task: Task) -> Any:
        """What is to be done to a command; as :meth:`command`."""
        raise NotImplementedError

    def figures(self) -> dict[str, Any]:
        """How many commands there were, and how many were chosen."""
        return dict(self.choice.figures())


def _conditions(options: ChoiceOptions, blocks: Blocks) -> Iterator[Condition]:
    """Those that were asked for, the cheapest first."""
    if options.commands:
        yield _is_one_of(codes_of(options.commands))
    if options.initiators:
        patterns = options.initiators
        yield lambda task: any(fnmatch.fnmatchcase(task.nexus.initiator_port.name, pattern) for pattern in patterns)
    if options.lba:
        yield lambda task: blocks.first(_addressed(task)) is not None


def _is_one_of(codes: frozenset[tuple[int, int | None]]) -> Condition:
    whole = frozenset(code for code, action in codes if action is None)
    parts = codes - {(code, None) for code in whole}

    def true(task: Task) -> bool:
        cdb = task.cdb
        return cdb[0] in whole or (bool(parts) and (cdb[0], service_action(cdb)) in parts)

    return true


def _addressed(task: Task) -> tuple[range, ...]:
    assert task.itl is not None
    return task.itl.device.addressed(task)
