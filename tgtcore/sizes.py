"""Sizes as people write them: ``512M``, ``1GiB``, ``1.5T`` or a bare number of bytes."""

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

SIZE_MAX = (1 << 63) - 1
"""A position in a file has 63 bits."""

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGTPE])(?:I?B)?|B)?", re.IGNORECASE | re.ASCII)
_DIGITS_MAX = 32
_UNITS = "KMGTPE"


def parse_size(text: str) -> int:
    """Bytes; units are powers of 1024, with or without ``B`` or ``iB``, in either case.

    :raises ValueError: it is not a size, or not a whole number of bytes.
    """
    found = _WRITTEN.fullmatch(text.strip()) if len(text) <= _DIGITS_MAX else None
    if found is None:
        raise ValueError(
            f"{text!r:.50} is not a size; expected bytes or a number with a unit, such as 512M, 1GiB or 1.5T"
        )
    number, unit = found.groups()
    size = Fraction(number) * (1 << (10 * (_UNITS.index(unit.upper()) + 1 if unit else 0)))
    if size.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return size.numerator


def _from_config(value: Any) -> Any:
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, bool):
        raise ValueError("expected a size such as 512M, not a truth value")
    return value


Size = Annotated[int, BeforeValidator(_from_config), Field(gt=0, le=SIZE_MAX)]
"""The type of a configuration key that takes a size: an int of bytes, from 1 to :data:`SIZE_MAX`."""
