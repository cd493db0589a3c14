"""What every benchmark that compares two daemons understands on its command line."""

import argparse
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.workloads import Workload


class Effort(NamedTuple):
    """How long each daemon works at each workload.

    :param rounds: so often in turn with the other one.
    """

    rounds: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.rounds} rounds of {self.seconds:g} s"


USUAL = Effort(5, 3)
QUICK = Effort(3, 1)


def parser(name: str, about: str | None, usual: Effort = USUAL, quick: Effort = QUICK) -> argparse.ArgumentParser:
    """One whose result has ``effort`` and ``only``, for :func:`chosen`."""
    made = argparse.ArgumentParser(prog=name, description=about)
    made.add_argument(
        "--quick", dest="effort", action="store_const", const=quick, default=usual, help=f"{quick}, not {usual}"
    )
    made.add_argument("--only", default="", help="workloads whose name contains this")
    return made


def chosen(workloads: Iterable[Workload], only: str) -> list[Workload]:
    """Those whose name contains something."""
    return [workload for workload in workloads if only in workload.name]
