"""A device whose commands end when the test lets them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tgtcore.device import SharedCommands
from tgtcore.task import PENDING, Task
from tgtcore.testing.initiator import Bench, bench


class Slow(SharedCommands):
    """TEST UNIT READY goes on until the test ends it."""

    code = 0x03
    needs_store = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.started: list[Task] = []
        self.lost: list[Any] = []

    def test_unit_ready(self, task: Task) -> Any:
        self.started.append(task)
        return PENDING

    def nexus_lost(self, nexus: Any) -> None:
        self.lost.append(nexus)


@contextmanager
def slow_bench() -> Iterator[Bench]:
    """A bench with it."""
    with bench(threads=1) as made:
        made.add(Slow)
        yield made


def slow_of(made: Bench) -> Slow:
    """The device of the first logical unit."""
    device = made.lus[0].device
    assert isinstance(device, Slow)
    return device
