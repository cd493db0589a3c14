"""The keys of a plan."""

from typing import Any

from pydantic import Field, model_validator

from tgtcore.limits import PLAN_SECONDS_MAX, PLAN_STEPS_MAX
from tgtcore.options import Options

_DEEDS = ("add", "remove", "change", "do")


class PlanKeys(Options):
    """Keys of a plan as a whole."""

    unit: str | None = None
    """The logical unit of the steps that name none."""

    keep: bool = False
    """Whether the filters that the plan has added stay when it has ended, failed or been interrupted."""

    step: tuple[dict[str, Any], ...] = Field(min_length=1, max_length=PLAN_STEPS_MAX)
    """What happens, in order of time."""


class StepKeys(Options):
    """Keys of one ``[[step]]``: when, where, and one of ``add``, ``remove``, ``change`` and ``do``, or none, to wait."""

    at: float = Field(ge=0, le=PLAN_SECONDS_MAX)
    """How many seconds after the beginning of the plan."""

    unit: str | None = None
    """The logical unit; by default that of the plan."""

    add: dict[str, Any] | None = None
    """A filter as in the key ``filters`` of a logical unit: ``type``, perhaps ``name``, and its own keys."""

    before: str | None = None
    """With ``add``: the filter that comes right after it; by default it is the last."""

    remove: str | None = None
    """The name of a filter that goes."""

    change: dict[str, Any] | None = None
    """``name``, the filter; and those of its keys that get other values."""

    do: dict[str, Any] | None = None
    """``filter`` and ``action``, and the arguments of the action."""

    note: str | None = Field(default=None, max_length=200)
    """What to say when the step is done."""

    @model_validator(mode="after")
    def _one_deed(self) -> "StepKeys":
        found = [key for key in _DEEDS if getattr(self, key) is not None]
        if len(found) > 1:
            raise ValueError(f"{' and '.join(found)} are two steps; expected one of: {', '.join(_DEEDS)}")
        if self.before is not None and self.add is None:
            raise ValueError("before: says where a filter comes to stand, so it needs add")
        return self


class DoKeys(Options):
    """The core's keys of ``do``; the others are arguments of the action."""

    filter: str
    action: str


class ChangeKeys(Options):
    """The core's keys of ``change``; the others are the filter's."""

    name: str
