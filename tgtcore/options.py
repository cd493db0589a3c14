"""The base of all options models: what a plugin's configuration keys are checked with."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError


class Options(BaseModel):
    """Configuration keys of one thing; unknown keys are errors, values never change.

    TOML has words for truth: for a key that is ``bool``, neither ``"yes"`` nor 1 will do, and for one that is a number, or has
    numbers in a list or table, ``true`` is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_nothing_else(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[info.field_name].annotation if info.field_name else None
        if wanted in (bool, bool | None):
            if value is not None and not isinstance(value, bool):
                raise PydanticKnownError("bool_type")
        elif _has_truth(value):
            kinds = set(_kinds(wanted))
            numbers = kinds & {int, float}
            if numbers and not kinds & {bool, object, Any}:
                raise PydanticKnownError("float_type" if float in numbers else "int_type")
        return value


def _has_truth(value: Any) -> bool:
    """Whether there is a truth value, or one in a list or table; models look into their own."""
    if isinstance(value, dict):
        return any(isinstance(one, bool) for one in value.values())
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(isinstance(one, bool) for one in value))


def _kinds(annotation: Any) -> Iterator[Any]:
    """Every type in an annotation; of a model nothing: it checks what is in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield object
    yield annotation
    for one in get_args(annotation):
        yield from _kinds(one)


class NoOptions(Options):
    """The options of a thing that has none."""
