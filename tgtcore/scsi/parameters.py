"""Parameter data: the error that every parser raises, and the helpers that parsers and builders share."""

from tgtcore.errors import CheckCondition
from tgtcore.scsi import asc


class ParameterError(ValueError):
    """Parameter data from a peer breaks its format.

    :param message: which field, what it holds, what was expected.
    :param byte: offset of the first byte of the field at fault, from the start of the parameter list.
    :param bit: the most significant bit of the field at fault; ``None`` when whole bytes are.
    :param truncated: the list ends too early, or its length contradicts the command.
    """

    def __init__(self, message: str, *, byte: int, bit: int | None = None, truncated: bool = False) -> None:
        super().__init__(message)
        self.byte = byte
        self.bit = bit
        self.truncated = truncated

    def check_condition(self) -> CheckCondition:
        """The answer SPC-5 asks for: PARAMETER LIST LENGTH ERROR, or INVALID FIELD IN PARAMETER LIST with a pointer."""
        if self.truncated:
            return CheckCondition(ILLEGAL_REQUEST, asc.PARAMETER_LIST_LENGTH_ERROR)
        field = (min(self.byte, FIELD_POINTER_MAX), self.bit)
        return CheckCondition(ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_PARAMETER_LIST, field=field, in_cdb=False)


ILLEGAL_REQUEST = 0x05
FIELD_POINTER_MAX = 0xFFFF


def need(data: bytes, end: int, what: str) -> None:
    """Raise a truncation error unless ``data`` has at least ``end`` bytes; ``what`` names the part that is cut."""
    if len(data) < end:
        raise ParameterError(
            f"{what} needs {end} bytes, the data has {len(data)}", byte=min(end, len(data)), truncated=True
        )


def ascii_field(name: str, text: str, width: int) -> bytes:
    """Left-aligned ASCII field, filled with spaces (SPC-5 4.3.1).

    :raises ValueError: ``text`` is too long, or holds something other than graphic ASCII (20h to 7Eh).
    """
    if len(text) > width:
        raise ValueError(f"{name} {text!r} is longer than {width} characters")
    if not all(" " <= character <= "~" for character in text):
        raise ValueError(f"{name} {text!r} has a character outside graphic ASCII")
    return text.encode("ascii").ljust(width)
