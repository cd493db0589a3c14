"""Collecting everything that is wrong with a configuration, to show it all at once."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tgtcore.config.paths import named_paths
from tgtcore.config.positions import Place, Positions, describe
from tgtcore.errors import ConfigError
from tgtcore.registry import nearest

_SHOWN_CHARACTERS = 60

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a table",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "list_type": "expected a list",
    "model_type": "expected a table",
    "string_type": "expected text in quotes",
    "tuple_type": "expected a list",
}
"""What the model's types are called in TOML."""

_PHRASES = {
    "Input should be": "expected",
    "String should match pattern": "expected text that matches",
    "String should have": "expected",
    "Tuple should have": "expected",
}


class Problems:
    """The problems of one document.

    :param source: the file's name as the user wrote it; empty for a configuration that is in no file.
    :param positions: the lines of its keys, where there are any.
    :param words: what the user calls a place and everything below it, where that is not its key.
    """

    def __init__(
        self, source: str = "", positions: Positions | None = None, words: Mapping[Place, str] | None = None
    ) -> None:
        self._source = source
        self._positions = positions
        self._words = words or {}
        self._found: dict[tuple[int, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, message: str) -> None:
        """Note a problem with a key."""
        line = self._positions.line(place) if self._positions else 0
        where = f"{self._source}:{line}: " if line and self._source else f"{self._source}: " if self._source else ""
        key = f"{self._described(place)}: " if place else ""
        self._found[line, f"{where}{key}{message}"] = None

    def _described(self, place: Place) -> str:
        named = (place[:depth] for depth in range(len(place), 0, -1))
        return next((self._words[outer] for outer in named if outer in self._words), describe(place))

    def found(self) -> list[str]:
        """All problems, in the order of the file."""
        return [text for _, text in sorted(self._found, key=lambda item: item[0])]

    def raise_if_any(self) -> None:
        """End here if there are problems.

        :raises ConfigError: with all of them.
        """
        if self._found:
            raise ConfigError(*self.found())

    def check(self, place: Place, model: type[BaseModel], values: Any) -> Any:
        """Check a table with a model: an instance, or None and a problem for each wrong key."""
        if not isinstance(values, dict):
            self.add(place, f"expected a table, got {_shown(values)}")
            return None
        try:
            made = model.model_validate(values)
        except ValidationError as errors:
            for error in errors.errors(include_url=False, include_context=True):
                self.add((*place, *error["loc"]), _message(error, model, self._is_secret(place, error)))
            return None
        impossible = [key for key, path in named_paths(made) if "\0" in str(path)]
        for key in impossible:
            self.add((*place, key), "expected a path, and none can have a NUL character in it")
        return None if impossible else made

    def unknown(self, place: Place, what: str, name: str, known: Iterable[str]) -> None:
        """Note a reference to something that is not there."""
        known = sorted(known)
        self.add(place, f'there is no {what} called "{name}"{nearest(name, known)}{expected(known)}')

    def _is_secret(self, place: Place, error: ErrorDetails) -> bool:
        whole = (*place, *error["loc"])
        return bool(whole) and (whole[0] == "accounts" or "secret" in str(whole[-1]) or "password" in str(whole[-1]))


def expected(known: Iterable[str]) -> str:
    """All known names as part of a message."""
    names = list(known)
    return f" (expected one of: {', '.join(names)})" if names else ""


def _message(error: ErrorDetails, model: type[BaseModel], secret: bool) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, error["loc"][:-1])
        name = str(error["loc"][-1])
        return f"unknown key{nearest(name, known)}{expected(known)}" if known else "unknown key; there are none here"
    if kind == "missing":
        return "this key is missing"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")  # our own words
    text = _EXPECTED.get(kind) or error["msg"]
    for theirs, ours in _PHRASES.items():
        text = text.replace(theirs, ours)
    text = text[:1].lower() + text[1:]
    if secret or isinstance(error["input"], dict):
        return text
    return f"{text}, got {_shown(error['input'])}"


def _keys_at(model: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    """The keys that a model knows at a place inside it."""
    here: Any = model
    for part in place:
        if isinstance(part, str) and part in getattr(here, "model_fields", {}):
            here = _inner_model(here.model_fields[part].annotation)
    return sorted(getattr(here, "model_fields", {}))


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
