"""Rounds on two daemons in turn, so that whatever else the machine does falls on both."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.process import cpu_s
from benchmarks.workloads import Workload


class Daemon(Protocol):
    """A target that serves one LUN."""

    @property
    def url(self) -> str:
        """The LUN."""

    @property
    def pids(self) -> Sequence[int]:
        """Its processes."""


@dataclass(frozen=True)
class Sample:
    """One round on one daemon."""

    per_s: float
    cpu_us: float


@dataclass(frozen=True)
class Result:
    """The medians of one workload."""

    workload: Workload
    ours: Sample
    peer: Sample

    @property
    def speed(self) -> float:
        """Our commands per second, by the peer's."""
        return self.ours.per_s / self.peer.per_s

    @property
    def cpu(self) -> float:
        """Our processor time per command, by the peer's."""
        return self.ours.cpu_us / self.peer.cpu_us

    @property
    def met(self) -> bool:
        """Whether every expectation of the workload holds."""
        speed, cpu = self.workload.least_speed, self.workload.most_cpu
        return (speed is None or self.speed >= speed) and (cpu is None or self.cpu <= cpu)


def measure(workload: Workload, ours: Daemon, peer: Daemon, rounds: int, seconds: float) -> Result:
    """Alternate between the daemons; one short round each beforehand warms them up."""
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    for daemon in (ours, peer):
        workload.run(daemon.url, 1)
    for _ in range(rounds):
        for daemon, taken in zip((ours, peer), samples, strict=True):
            taken.append(sample(workload, daemon, seconds))
    return Result(workload, *map(median_of, samples))


def sample(workload: Workload, daemon: Daemon, seconds: float) -> Sample:
    """One round on one daemon."""
    before = cpu_s(*daemon.pids)
    load = workload.run(daemon.url, seconds)
    used = cpu_s(*daemon.pids) - before
    return Sample(load.commands / load.seconds, used / load.commands * 1e6)


def median_of(samples: Sequence[Sample]) -> Sample:
    """The medians of several rounds."""
    return Sample(statistics.median(one.per_s for one in samples), statistics.median(one.cpu_us for one in samples))
