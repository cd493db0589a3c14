"""The filter ``delay``: commands take longer."""

from collections.abc import Callable
from math import exp
from random import Random
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from tgtcore import Task
from tgtcore_filters.commands.choice import ChoiceOptions, ChoosingFilter

SECONDS_MAX = 86400.0

_EXPONENT_MAX = 700.0
"""Of e, in what a float can be; far beyond any time that a command is held for."""


class DelayOptions(ChoiceOptions):
    """``type = "delay"``."""

    seconds: float = Field(gt=0, le=SECONDS_MAX, description="how long chosen commands are held; see `distribution`")
    distribution: Literal["fixed", "uniform", "normal", "exponential", "pareto"] = Field(
        "fixed", description="what `seconds` is: all of it, the least, the mean, the mean, the least"
    )
    deviation: float | None = Field(
        None, gt=0, le=SECONDS_MAX, description="of `normal`: the standard deviation, in seconds"
    )
    shape: float | None = Field(
        None, gt=0, le=1000, description="of `pareto`: the less, the more very long ones there are"
    )
    max_seconds: float | None = Field(
        None, gt=0, le=SECONDS_MAX, description="no command is held for longer; the other end of `uniform`"
    )

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needs = DISTRIBUTIONS[self.distribution].needs
        for key in needs:
            if getattr(self, key) is None:
                raise ValueError(f'distribution = "{self.distribution}" needs {key}')
        for key in ("deviation", "shape"):
            if key not in needs and getattr(self, key) is not None:
                raise ValueError(f'{key} means nothing to distribution = "{self.distribution}"')
        if self.max_seconds is not None and self.max_seconds < self.seconds:
            raise ValueError(f"max_seconds is {self.max_seconds:g}, expected not less than seconds ({self.seconds:g})")
        return self


class Distribution(NamedTuple):
    """How long commands are held.

    :param needs: keys that it needs besides ``seconds``.
    :param draw: one length of time, in seconds.
    """

    needs: tuple[str, ...]
    draw: Callable[[Random, Any], float]


def _pareto(random: Random, keys: Any) -> float:
    """As `Random.paretovariate`, which overflows where a small shape gives a very long time."""
    return float(keys.seconds * exp(min(random.expovariate(keys.shape), _EXPONENT_MAX)))


DISTRIBUTIONS: dict[str, Distribution] = {
    "fixed": Distribution((), lambda random, keys: keys.seconds),
    "uniform": Distribution(("max_seconds",), lambda random, keys: random.uniform(keys.seconds, keys.max_seconds)),
    "normal": Distribution(("deviation",), lambda random, keys: random.gauss(keys.seconds, keys.deviation)),
    "exponential": Distribution((), lambda random, keys: random.expovariate(1 / keys.seconds)),
    "pareto": Distribution(("shape",), _pareto),
}


class Delay(ChoosingFilter):
    """Holds commands for some time, then lets them go on."""

    Options = DelayOptions
    options: DelayOptions

    def __init__(self, options: DelayOptions) -> None:
        super().__init__(options)
        self._draw = DISTRIBUTIONS[options.distribution].draw
        self._random = Random(f"delay {options.seed}")
        self._longest = SECONDS_MAX if options.max_seconds is None else options.max_seconds

    def meet(self, task: Task) -> Any:
        """Hold it."""
        return self.hold(task, min(max(self._draw(self._random, self.options), 0.0), self._longest))

    def figures(self) -> dict[str, Any]:
        """And how many it holds now."""
        return {**super().figures(), "held": len(self.held)}
