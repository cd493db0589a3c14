"""REPORT TARGET PORT GROUPS parameter data (SPC-5 6.37)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class AccessState(IntEnum):
    """Asymmetric access states (SPC-5 table 283)."""

    ACTIVE_OPTIMIZED = 0x0
    ACTIVE_NON_OPTIMIZED = 0x1
    STANDBY = 0x2
    UNAVAILABLE = 0x3
    LBA_DEPENDENT = 0x4
    OFFLINE = 0xE
    TRANSITIONING = 0xF


_SUPPORTED_ACTIVE_OPTIMIZED = 0x01
_EXTENDED_HEADER = 0x10


@dataclass(frozen=True)
class TargetPortGroup:
    """One target port group.

    :param ports: relative target port identifiers.
    """

    number: int
    ports: Sequence[int]
    state: AccessState = AccessState.ACTIVE_OPTIMIZED
    preferred: bool = False
    supported: int = _SUPPORTED_ACTIVE_OPTIMIZED

    def encode(self) -> bytes:
        """One target port group descriptor."""
        head = bytes((self.preferred << 7 | self.state, self.supported))
        body = b"".join(bytes(2) + port.to_bytes(2, "big") for port in self.ports)
        return head + self.number.to_bytes(2, "big") + bytes((0, 0, 0, len(self.ports))) + body


def target_port_groups_data(groups: Iterable[TargetPortGroup], *, extended: bool, transition_s: int = 0) -> bytes:
    """The parameter data, with the plain or the extended header.

    :param transition_s: implicit transition time in seconds, 0 when there are no transitions.
    """
    body = b"".join(group.encode() for group in groups)
    if extended:
        body = bytes((_EXTENDED_HEADER, transition_s, 0, 0)) + body
    return len(body).to_bytes(4, "big") + body
