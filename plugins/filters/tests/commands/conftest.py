from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tgtcore_disk import Disk

from tgtcore import CommandFilter, LogicalUnit
from tgtcore.testing.command_filter import filtering
from tgtcore.testing.initiator import Bench, Initiator, bench
from tgtcore.testing.ram import RamStore


class Unit:
    """A disk of 1 MiB, and what stands before it."""

    def __init__(self, made: Bench, stack: ExitStack) -> None:
        self.made = made
        self._stack = stack

    @property
    def lu(self) -> LogicalUnit:
        return self.made.lus[0]

    def use(self, *filters: CommandFilter) -> None:
        """Put filters before the disk, once in a test."""
        self._stack.enter_context(filtering(self.made, *filters))

    def run_until(self, true: Any) -> None:
        self.made.run_until(true, "what the test waits for")


@pytest.fixture
def unit() -> Iterator[Unit]:
    with bench() as made, ExitStack() as stack:
        made.add(Disk, RamStore())
        yield Unit(made, stack)


@pytest.fixture
def initiator(unit: Unit) -> Initiator:
    return unit.made.initiator()


@pytest.fixture
def other(unit: Unit) -> Initiator:
    return unit.made.initiator("iqn.2025-01.example:other", port=1)
