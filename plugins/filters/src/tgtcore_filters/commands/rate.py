"""The filter ``rate``: so many commands or bytes in a second, and no more."""

from collections import OrderedDict
from functools import partial
from time import monotonic
from typing import Any, Self

from pydantic import Field, model_validator

from tgtcore import Size, Task
from tgtcore_filters.commands.choice import ChoiceOptions, ChoosingFilter
from tgtcore_filters.commands.pace import Pace
from tgtcore_filters.commands.transferred import expected

_AT_ONCE_MAX = 64
"""How many commands go on before everybody else has a turn on the loop."""


class RateOptions(ChoiceOptions):
    """``type = "rate"``."""

    iops: float | None = Field(None, gt=0, le=1e9, allow_inf_nan=False, description="commands in a second")
    bytes_per_second: Size | None = Field(None, description="data in and out in a second, such as `100M`")
    burst_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="after a pause, what was not used in so long may go at once",
    )

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.iops is None and self.bytes_per_second is None:
            raise ValueError("expected iops, bytes_per_second or both")
        return self


class Rate(ChoosingFilter):
    """Holds the commands that are too many, and lets them go on in their order as time allows."""

    Options = RateOptions
    options: RateOptions

    def __init__(self, options: RateOptions) -> None:
        super().__init__(options)
        self._commands = None if options.iops is None else Pace(options.iops, options.burst_seconds)
        per_second = options.bytes_per_second
        self._bytes = None if per_second is None else Pace(per_second, options.burst_seconds)
        self._paces = tuple(pace for pace in (self._commands, self._bytes) if pace is not None)
        self._queue: OrderedDict[Task, None] = OrderedDict()
        self._expects_turn = False
        self._held_ever = 0

    def meet(self, task: Task) -> Any:
        """Let it go on if nothing waits and the limits allow it."""
        now = monotonic()
        if not self._queue and not self._wait_s(now):
            self._pay(task, now)
            return None
        self._queue[task] = None
        task.when_ended(partial(self._queue.pop, task, None))  # an aborted one waits no longer
        self._held_ever += 1
        self._expect_turn(self._wait_s(now))
        return self.hold(task)

    def _expect_turn(self, seconds: float) -> None:
        if not self._expects_turn:
            self._expects_turn = True
            self.later(seconds, self._turn)

    def _turn(self) -> None:
        """Let the first go on, as many as may."""
        self._expects_turn = False
        for _ in range(_AT_ONCE_MAX):
            now = monotonic()
            if not self._queue or self._wait_s(now):
                break
            task, _ = self._queue.popitem(last=False)
            self._pay(task, now)
            self.go_on(task)
        if self._queue:
            self._expect_turn(self._wait_s(monotonic()))

    def _wait_s(self, now_s: float) -> float:
        return max(pace.wait_s(now_s) for pace in self._paces)

    def _pay(self, task: Task, now_s: float) -> None:
        if self._commands is not None:
            self._commands.take(now_s, 1)
        if self._bytes is not None:
            self._bytes.take(now_s, expected(task))

    def figures(self) -> dict[str, Any]:
        """And how many commands wait now, and how many have had to."""
        return {**super().figures(), "held": len(self._queue), "held_ever": self._held_ever}
