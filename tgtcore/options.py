"""The base of all options models: what a plugin's configuration keys are checked with."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Configuration keys of one thing; unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoOptions(Options):
    """The options of a thing that has none."""
