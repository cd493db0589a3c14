"""The base of all options models: what a plugin's configuration keys are checked with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
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


class PlatformOptions(Options):
    """Those of a transport that runs on one of several platforms.

    The key ``platform`` names one of them, and the key of that name has the options of that one, or None where the configuration
    says nothing and there is no default: then it is refused.
    """

    table: ClassVar[str]
    """Where a configuration has these options, for messages: ``transports.NAME``."""

    if TYPE_CHECKING:  # who derives says in which order the keys come, and which platforms there are
        platform: str

    @property
    def platform_options(self) -> BaseModel:
        """The options of the chosen platform."""
        found: BaseModel | None = getattr(self, self.platform)
        assert found is not None, "they were checked"
        return found

    @property
    def machine(self) -> tuple[object, ...]:
        """What can't be changed while the transport runs: the platform and its options."""
        return self.platform, self.platform_options

    @model_validator(mode="after")
    def _keys_of_the_platform(self) -> "PlatformOptions":
        if getattr(self, self.platform) is None:
            raise ValueError(
                f"platform {self.platform} needs its keys, expected a table [{self.table}.{self.platform}]"
            )
        return self
