"""Running seeds: with nothing of the real world, and with a report that lets one run it again."""

import gc
import logging
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CoroutineType, SimpleNamespace
from unittest import mock

from sim.operations import Operation, operations_of
from sim.workers import SimWorkers
from sim.world import World

OPERATIONS = 120
_TRACE_LINES = 40
_SHRINKS = 150


@dataclass
class Result:
    """How a run went."""

    seed: int
    operations: list[Operation]
    failures: list[str]
    trace: list[str] = field(repr=False)
    digest: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures

    def report(self) -> str:
        """For whoever must find out why."""
        return "\n".join(
            [
                f"seed {self.seed}: {self.failures[0] if self.failures else 'nothing is wrong'}",
                f"run it again: PYTHONPATH=tests .venv/bin/python -m sim {self.seed}",
                f"the last events of a run with {len(self.operations)} operations:",
                *self.trace,
            ]
        )


class _Errors(logging.Handler):
    """Every line that is logged as an error is one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.world: World | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.world is not None:
            self.world.logged(record)


@contextmanager
def simulation() -> Iterator[None]:
    """Replaces what is real."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    root.handlers = []  # they would keep what they are told of
    gc.freeze()  # each run ends with a collection, which need not look at everything else
    gc.disable()
    with (
        mock.patch("tgtcore.daemon.daemon.Workers", SimWorkers),
        mock.patch("tgtcore_disk.medium.monotonic", _clock),
        mock.patch("tgtcore.loop.time", SimpleNamespace(monotonic=_clock)),
        mock.patch("os.fsync", _durable_at_once),
        mock.patch("sys.unraisablehook", _ignore_what_was_killed),
    ):
        try:
            yield
        finally:
            gc.enable()
            gc.unfreeze()
            root.handlers = handlers
            root.setLevel(level)


def _durable_at_once(descriptor: int) -> None:
    """A run has no power cut of the real machine."""


def _ignore_what_was_killed(report: "sys.UnraisableHookArgs") -> None:
    """A coroutine of a daemon that was killed would await something at its end."""
    if not isinstance(report.object, CoroutineType):
        sys.__unraisablehook__(report)


class _Clock:
    """For slices of long work: each look at it takes some milliseconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin a run."""
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += 0.008
        return self._now_s


_clock = _Clock()


def run(seed: int, operations: list[Operation] | None = None, *, digest: bool = False) -> Result:
    """Run a seed, inside of :func:`simulation`.

    :param operations: instead of those that the seed has.
    """
    if operations is None:
        operations = operations_of(random.Random(seed), OPERATIONS)
    folder = Path(tempfile.mkdtemp(prefix="tgtcore-sim-", dir=_MEMORY if _MEMORY.is_dir() else None))
    errors = _Errors()
    _clock.reset()
    root = logging.getLogger()
    root.addHandler(errors)
    try:
        world = World(seed, operations, folder)
        errors.world = world
        world.run()
        environment = world.environment
        trace = list(environment.trace.lines(_TRACE_LINES)) if environment.failures else []
        result = Result(seed, operations, environment.failures, trace)
        if digest:
            result.digest = environment.trace.digest()
        seen = world.judge.seen
        errors.world = None
        del world, environment
        gc.collect()
        left = [str(one) for thing in seen if (one := thing()) is not None]
        if left and not result.failures:
            result.failures.append(f"not gone at the end: {left}")
    finally:
        root.removeHandler(errors)
        shutil.rmtree(folder)
    return result


_MEMORY = Path("/dev/shm")


def first_failure(seeds: Iterable[int]) -> Result | None:
    """The first run that fails, if there is one."""
    return next((result for seed in seeds if not (result := run(seed)).passed), None)


def shrunk(result: Result) -> Result:
    """A run with fewer operations that fails too, if one is found quickly."""
    best, size, runs = result, len(result.operations) // 2, 0
    while size:
        at = 0
        while at < len(best.operations) and runs < _SHRINKS:
            shorter = run(result.seed, best.operations[:at] + best.operations[at + size :])
            runs += 1
            if shorter.passed:
                at += size
            else:
                best = shorter
        size //= 2
    return best
