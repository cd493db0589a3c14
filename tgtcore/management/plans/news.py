"""What is told while a plan is played."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PlanNews:
    """How a plan gets on.

    :param done: how many steps are done.
    :param what: the last of them did, with what an action has returned; empty: only time has passed.
    :param next_in_s: how long until the next one; None: there is none.
    """

    plan: str
    done: int
    steps: int
    at_s: float
    unit: str = ""
    what: str = ""
    outcome: Any = None
    next_in_s: float | None = None
