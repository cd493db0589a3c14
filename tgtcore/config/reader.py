"""Reading a configuration file."""

import ast
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tgtcore.config.key_parts import check_key_parts
from tgtcore.config.positions import Place, Positions, describe
from tgtcore.config.problems import Problems
from tgtcore.errors import ConfigError
from tgtcore.limits import CONFIG_BYTES_MAX

_PLACE = re.compile(r"line (\d+), column (\d+)")
_TWICE = re.compile(r"Cannot declare (\(.*\)) twice")
_WORDS = {
    "Cannot overwrite a value": "this key is there already",
    "Invalid statement": "expected KEY = VALUE or [TABLE]",
    "Invalid value": 'expected a value, such as "text", 5, true or ["a", "b"]',
    "Invalid initial character for a key part": "expected a key; within { } there are no line breaks",
}

OtherReader = Callable[[Path], Mapping[str, Any] | None]
"""Reads files that are not TOML; None for a file that it does not know."""


@dataclass(frozen=True)
class Source:
    """A configuration that was read and not checked yet.

    :param name: the file's name as the user gave it; empty when there is no file.
    :param base: the folder that relative paths in it count from.
    :param words: what the user calls a place of a document that is in no file, such as ``--portal 10.0.0.1``.
    """

    document: Mapping[str, Any]
    base: Path
    name: str = ""
    positions: Positions | None = None
    words: Mapping[Place, str] = field(default_factory=dict)

    def problems(self) -> Problems:
        """An empty collection of this source's problems."""
        return Problems(self.name, self.positions, self.words)


def read(path: Path, other: OtherReader = lambda path: None) -> Source:
    """Read a file.

    :param other: asked before TOML is tried.
    :raises ConfigError: it can't be read, or is not TOML.
    """
    base = path.absolute().parent
    try:
        if not path.is_file():
            path.stat()
            raise ConfigError(f"{path}: expected a configuration file, found something else")
        found = other(path)
        if found is not None:
            return Source(found, base, str(path))
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    return parse(data, base, str(path))


def parse(data: bytes, base: Path, name: str = "") -> Source:
    """Make a document of TOML.

    :raises ConfigError: it is not TOML, or far too long.
    """
    prefix = f"{name}: " if name else ""
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{prefix}{len(data)} bytes are too long for a configuration (at most {CONFIG_BYTES_MAX})")
    try:
        text = data.decode().replace("\r\n", "\n")
        check_key_parts(text, name)
        document = tomllib.loads(text)
        return Source(document, base, name, Positions(text))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: byte {data[error.start]:02X}h is not UTF-8" if name else str(error)
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(str(error), name, text.rstrip().count("\n") + 1)) from None
    except RecursionError:
        raise ConfigError(f"{prefix}the values are nested too deeply") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise ConfigError(f"{prefix}not TOML: {error}") from None


def _syntax(message: str, name: str, last_line: int) -> str:
    """tomllib's message in our words; it ends with "(at line 3, column 5)" or "(at end of document)"."""
    text, _, place = message.removesuffix(")").rpartition(" (at ")
    found = _PLACE.fullmatch(place)
    line, column = found.groups() if found else (str(last_line), "")
    twice = _TWICE.fullmatch(text)
    if twice:
        text = f"the table {describe(ast.literal_eval(twice[1]))} is there already"
    text = _WORDS.get(text, text[:1].lower() + text[1:])
    where = f"{name}:{line}: " if name else f"line {line}: "
    return f"{where}not TOML: {text} ({f'column {column}' if column else 'the text ends'})"
