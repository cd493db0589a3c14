"""The words by which users say which commands they mean."""

import re
from collections.abc import Iterable, Iterator

from tgtcore.scsi.cdb import COMMAND_NAMES
from tgtcore_filters.commands.similar import nearest

Code = tuple[int, int | None]
"""An operation code, and a service action; None: all of them."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "reads": ("READ", "VERIFY", "PRE FETCH"),
    "writes": (
        "WRITE",
        "WRITE AND VERIFY",
        "WRITE SAME",
        "WRITE ATOMIC",
        "WRITE LONG",
        "ORWRITE",
        "COMPARE AND WRITE",
        "UNMAP",
        "FORMAT UNIT",
        "SANITIZE",
    ),
    "flushes": ("SYNCHRONIZE CACHE",),
}
"""Words for all commands that read, change or flush the medium, by their names without the length of the CDB."""

_NUMBERS = re.compile(r"0x([0-9a-f]{1,2})(?:/0x([0-9a-f]{1,4}))?", re.IGNORECASE)
_LENGTH = re.compile(r" \(\d+\)$")


def codes_of(words: Iterable[str | int]) -> frozenset[Code]:
    """The commands that some words mean.

    A word is a name as the standards write it, ``READ (10)``; a name without the length of the CDB, ``READ``, for all of that name;
    one of :data:`FAMILIES`; or an operation code, 0x28, ``"0x28"`` or ``"0x9E/0x10"`` with a service action.

    :raises ValueError: there is no such command; the message has the most similar name.
    """
    return frozenset(code for word in words for code in _codes(word))


def _codes(word: str | int) -> Iterable[Code]:
    if isinstance(word, int):
        if not 0 <= word <= 0xFF:
            raise ValueError(f"{word} is not an operation code; expected a number from 0 to 0xFF, or a command's name")
        return [(word, None)]
    numbers = _NUMBERS.fullmatch(word.strip())
    if numbers is not None:
        return [(int(numbers[1], 16), None if numbers[2] is None else int(numbers[2], 16))]
    found = _BY_WORD.get(_folded(word))
    if found is None:
        raise ValueError(f'"{word:.60}" is no command{_hint(word)}')
    return found


def _folded(name: str) -> str:
    """The same for ``READ (10)``, ``read(10)`` and ``Read  (10)``."""
    return " ".join(name.upper().replace("-", " ").replace("(", " (").split())


def _hint(word: str) -> str:
    return nearest(_folded(word), _BY_WORD) or '; expected a name such as "READ (10)", or an operation code'


def _words() -> Iterator[tuple[str, Code]]:
    for code, name in COMMAND_NAMES.items():
        yield _folded(name), code
        if (stem := _LENGTH.sub("", name)) != name:
            yield _folded(stem), code


def _by_word() -> dict[str, set[Code]]:
    found: dict[str, set[Code]] = {}
    for word, code in _words():
        found.setdefault(word, set()).add(code)
    for family, names in FAMILIES.items():
        found[_folded(family)] = {code for name in names for code in found[name]}
    return found


_BY_WORD = _by_word()
