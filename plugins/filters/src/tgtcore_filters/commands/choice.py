"""Which commands a filter is about: the options that filters share, and what they mean."""

import fnmatch
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field, StrictInt, StrictStr, field_validator

from tgtcore import CommandFilter, Options, Task
from tgtcore.scsi.cdb import service_action
from tgtcore_filters.commands.blocks import EVERY_BLOCK, Blocks
from tgtcore_filters.commands.command_names import codes_of

_WORDS_MAX = 256
_COUNT_MAX = 1 << 62

Condition = Callable[[Task], bool]


class ChoiceOptions(Options):
    """The keys by which users choose commands; without any of them a filter is about every command."""

    commands: tuple[StrictStr | StrictInt, ...] = Field(
        (), max_length=_WORDS_MAX, description='names as in `"READ (10)"`, `"READ"`, `"writes"`, or operation codes'
    )
    lba: tuple[StrictStr | StrictInt, ...] = Field(
        (), max_length=_WORDS_MAX, description='commands about any of these blocks: addresses, or ranges as in `"0-2047"`'
    )
    initiators: tuple[str, ...] = Field(
        (), max_length=_WORDS_MAX, description="names of initiators; `*`, `?` and `[...]` stand for what they do in a shell"
    )
    while_file_exists: Path | None = Field(None, description="only while there is such a file, which should be a local one")
    first: int = Field(1, ge=1, le=_COUNT_MAX, description="of those that all this is true for: from which one on")
    every: int = Field(1, ge=1, le=_COUNT_MAX, description="from there on: each how manieth")
    probability: float = Field(1.0, gt=0, le=1, allow_inf_nan=False, description="of those: each with this probability")
    count: int | None = Field(None, ge=1, le=_COUNT_MAX, description="of those: how many at most")
    seed: int = Field(0, description="the same seed and the same commands: the same choices")

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
        self._options = options
        self._blocks = Blocks(options.lba) if options.lba else EVERY_BLOCK
        self._conditions = tuple(_conditions(options, self._blocks))
        self._random = Random(f"choice {options.seed}")
        self.matched = 0
        """How many commands there were that all conditions were true for."""
        self.chosen = 0
        """How many of them were chosen."""

    def takes(self, task: Task) -> bool:
        """Whether a command is chosen; asked once for each, in their order."""
        for true in self._conditions:
            if not true(task):
                return False
        options = self._options
        self.matched += 1
        behind_first = self.matched - options.first
        if behind_first < 0 or behind_first % options.every:
            return False
        if options.probability < 1 and self._random.random() >= options.probability:
            return False
        if self.chosen == options.count:
            return False
        self.chosen += 1
        return True

    def first_block(self, task: Task) -> int | None:
        """The lowest address of the blocks that a command and this choice are about; None: the command is about none."""
        return self._blocks.first(_addressed(task))

    def figures(self) -> dict[str, int]:
        """For :meth:`~tgtcore.Operable.figures`."""
        return {"matched": self.matched, "chosen": self.chosen}


class ChoosingFilter(CommandFilter):
    """A filter that does something to the commands that its user has chosen, and to no other one."""

    Options = ChoiceOptions

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
    if (path := options.while_file_exists) is not None:
        yield lambda task: os.path.lexists(path)


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
