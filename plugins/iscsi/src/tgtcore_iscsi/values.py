"""The values of text keys, from text and to text (RFC 7143 6.1)."""

import base64
import binascii
import re
from typing import Final

from tgtcore_iscsi.limits import LIST_VALUES_MAX, SIMPLE_VALUE_BYTES_MAX

REJECT: Final = "Reject"
IRRELEVANT: Final = "Irrelevant"
NOT_UNDERSTOOD: Final = "NotUnderstood"
NONE: Final = "None"
ANSWERS: Final = frozenset((REJECT, IRRELEVANT, NOT_UNDERSTOOD))
"""Values that only ever answer an offer."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_HEX = re.compile(r"0[xX]([0-9A-Fa-f]+)")
_HEX_BYTES = re.compile(r"0[xX]((?:[0-9A-Fa-f]{2})+)")
_BASE64 = re.compile(r"0[bB]([A-Za-z0-9+/]+={0,2})")
_NUMBER_MAX = 2**64 - 1
_BOOLEANS: Final = {"Yes": True, "No": False}


def parse_number(text: str) -> int:
    """Read a numerical value: decimal without leading zeroes, or ``0x`` and hex digits, below 2**64."""
    hexadecimal = _HEX.fullmatch(text)
    if hexadecimal is None and not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal or hex number")
    value = int(text) if hexadecimal is None else int(hexadecimal[1], 16)
    if value > _NUMBER_MAX:
        raise ValueError("number of more than 64 bits")
    return value


def parse_boolean(text: str) -> bool:
    """Read ``Yes`` or ``No``."""
    if text not in _BOOLEANS:
        raise ValueError("neither Yes nor No")
    return _BOOLEANS[text]


def format_boolean(value: bool) -> str:
    """Return ``Yes`` or ``No``."""
    return "Yes" if value else "No"


def parse_list(text: str) -> tuple[str, ...]:
    """Read values separated by commas."""
    values = tuple(text.split(",", LIST_VALUES_MAX))
    if len(values) > LIST_VALUES_MAX:
        raise ValueError(f"more than {LIST_VALUES_MAX} values")
    if not all(0 < len(value) <= SIMPLE_VALUE_BYTES_MAX for value in values):
        raise ValueError("a value is empty or too long")
    return values


def parse_binary(text: str) -> bytes:
    """Read a large binary value: ``0x`` and pairs of hex digits, or ``0b`` and padded base64."""
    hexadecimal = _HEX_BYTES.fullmatch(text)
    if hexadecimal is not None:
        return bytes.fromhex(hexadecimal[1])
    encoded = _BASE64.fullmatch(text)
    if encoded is None:
        raise ValueError("neither 0x and pairs of hex digits nor 0b and base64")
    try:
        return base64.b64decode(encoded[1], validate=True)
    except binascii.Error:
        raise ValueError("base64 of an impossible length") from None


def format_hex(value: bytes) -> str:
    """Return ``0x`` and hex digits, which every initiator reads."""
    return "0x" + value.hex()


def format_base64(value: bytes) -> str:
    """Return ``0b`` and base64."""
    return "0b" + base64.b64encode(value).decode("ascii")
