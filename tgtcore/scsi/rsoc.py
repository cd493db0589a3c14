"""REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS parameter data (SPC-5 6.35, 6.36)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

_SERVACTV = 0x01
_CTDP = 0x02
_TIMEOUTS_BYTES = 12


class ReportingOptions(IntEnum):
    """What is asked for (SPC-5 table 276)."""

    ALL = 0
    OPCODE = 1
    OPCODE_AND_SERVICE_ACTION = 2
    OPCODE_OR_SERVICE_ACTION = 3


class Support(IntEnum):
    """SUPPORT field of the one-command format (SPC-5 table 280)."""

    NOT_SUPPORTED = 1
    STANDARD = 3
    VENDOR_SPECIFIC = 5


@dataclass(frozen=True)
class SupportedCommand:
    """One command, as reported.

    :param usage: CDB usage data; its length is that of the CDB.
    :param timeout_s: recommended command timeout in seconds.
    """

    opcode: int
    service_action: int | None
    usage: bytes
    timeout_s: int

    def _timeouts(self) -> bytes:
        return (_TIMEOUTS_BYTES - 2).to_bytes(2, "big") + bytes(6) + self.timeout_s.to_bytes(4, "big")

    def descriptor(self, *, timeouts: bool) -> bytes:
        """One command descriptor of the all-commands format."""
        flags = (0 if self.service_action is None else _SERVACTV) | (_CTDP if timeouts else 0)
        head = bytes((self.opcode, 0)) + (self.service_action or 0).to_bytes(2, "big")
        head += bytes((0, flags)) + len(self.usage).to_bytes(2, "big")
        return head + (self._timeouts() if timeouts else b"")

    def one(self, *, timeouts: bool) -> bytes:
        """The one-command parameter data of a command that is supported."""
        flags = Support.STANDARD | (0x80 if timeouts else 0)
        head = bytes((0, flags)) + len(self.usage).to_bytes(2, "big") + self.usage
        return head + (self._timeouts() if timeouts else b"")


def all_commands_data(commands: Iterable[SupportedCommand], *, timeouts: bool) -> bytes:
    """The all-commands parameter data."""
    body = b"".join(command.descriptor(timeouts=timeouts) for command in commands)
    return len(body).to_bytes(4, "big") + body


def not_supported_data() -> bytes:
    """The one-command parameter data of a command that is not supported."""
    return bytes((0, Support.NOT_SUPPORTED, 0, 0))


def supported_tmfs_data(first: int, second: int, *, extended: bool) -> bytes:
    """REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS: the two bytes of flags, in the short or the extended format."""
    if not extended:
        return bytes((first, second, 0, 0))
    return bytes((first, second, 0, 12)) + bytes(12)
