"""The base of all options models: what a plugin's configuration keys are checked with."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError


class Options(BaseModel):
    """Configuration keys of one thing; unknown keys are errors, values never change.

    TOML has a word for truth: for a key that is ``bool``, neither ``"yes"`` nor 1 will do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_text(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[info.field_name].annotation if info.field_name else None
        if wanted in (bool, bool | None) and value is not None and not isinstance(value, bool):
            raise PydanticKnownError("bool_type")
        return value


class NoOptions(Options):
    """The options of a thing that has none."""
