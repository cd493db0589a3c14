"""Log pages (SPC-5 7.3): encoders for pages and parameters."""

from collections.abc import Iterable
from dataclasses import dataclass

_SPF = 0x40
ALL_SUBPAGES = 0xFF
_BINARY_LIST = 0x03


@dataclass(frozen=True)
class LogParameter:
    """One log parameter.

    :param control: format and linking bits of the control byte; 03h is a binary list.
    """

    code: int
    value: bytes
    control: int = _BINARY_LIST

    def encode(self) -> bytes:
        """The parameter with its header."""
        return self.code.to_bytes(2, "big") + bytes((self.control, len(self.value))) + self.value


def log_page(code: int, subcode: int, body: bytes) -> bytes:
    """A whole page with its header."""
    first = code | (_SPF if subcode else 0)
    return bytes((first, subcode)) + len(body).to_bytes(2, "big") + body


def parameters(parameters: Iterable[LogParameter], start: int = 0) -> bytes:
    """The parameters whose code is at least ``start``, in ascending order."""
    ordered = sorted(parameters, key=lambda parameter: parameter.code)
    return b"".join(parameter.encode() for parameter in ordered if parameter.code >= start)


def supported_pages(codes: Iterable[int]) -> bytes:
    """Body of page 00h."""
    return bytes(sorted(codes))


def supported_subpages(keys: Iterable[tuple[int, int]]) -> bytes:
    """Body of page 00h/FFh, or of a page's subpage FFh."""
    return b"".join(bytes(key) for key in sorted(keys))
