"""The end of a channel, and requests of the target: logout, credits, asynchronous events (SRP r16a, 6.5, 6.6, 6.10 to 6.13)."""

import struct
from typing import ClassVar, Final, NamedTuple, Self

from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import HEADER_BYTES, Unit, check
from tgtcore_srp.iu.opcodes import LogoutReason, Opcode

EVENT_BYTES: Final = 36
"""The shortest SRP_AER_REQ: without its sense data."""

_TAGGED = struct.Struct(">B7xQ")
_LOGOUT = struct.Struct(">BB2xIQ")
_CREDIT = struct.Struct(">BB2xiQ")
_EVENT = struct.Struct(">BB2xiQ4xQI4x")


class _Tag(NamedTuple):
    tag: int


class _TagOnly(_Tag):
    """An information unit that has nothing but a tag behind its opcode."""

    __slots__ = ()
    opcode: ClassVar[Opcode]

    @classmethod
    def parse(cls, unit: Unit) -> Self:
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, cls.opcode, HEADER_BYTES)
        return cls(_TAGGED.unpack_from(unit)[1])

    def build(self) -> bytes:
        """The 16 bytes of the information unit."""
        return _TAGGED.pack(self.opcode, self.tag)


class InitiatorLogout(_TagOnly):
    """SRP_I_LOGOUT: the initiator ends the channel; there is no answer."""

    __slots__ = ()
    opcode = Opcode.I_LOGOUT


class CreditResponse(_TagOnly):
    """SRP_CRED_RSP: the initiator has taken a credit request into account.

    :param tag: of the request.
    """

    __slots__ = ()
    opcode = Opcode.CRED_RSP


class EventResponse(_TagOnly):
    """SRP_AER_RSP: the initiator has taken note of an asynchronous event.

    :param tag: of the request.
    """

    __slots__ = ()
    opcode = Opcode.AER_RSP


class TargetLogout(NamedTuple):
    """SRP_T_LOGOUT: the target ends the channel; there is no answer.

    :param reason: one of :class:`~tgtcore_srp.iu.opcodes.LogoutReason`, or an unknown number.
    :param solicited: bit SOLNT of :class:`~tgtcore_srp.iu.opcodes.Solicited`.
    """

    tag: int
    reason: int
    solicited: int = 0

    @staticmethod
    def parse(unit: Unit) -> "TargetLogout":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.T_LOGOUT, HEADER_BYTES)
        _, solicited, reason, tag = _LOGOUT.unpack_from(unit)
        return TargetLogout(tag, reason, solicited)

    def build(self) -> bytes:
        """The 16 bytes of the information unit."""
        return _LOGOUT.pack(Opcode.T_LOGOUT, self.solicited, self.reason, self.tag)


class CreditRequest(NamedTuple):
    """SRP_CRED_REQ: the target changes how many requests the initiator may send.

    :param delta: how many more; negative: fewer.
    :param solicited: bit SOLNT of :class:`~tgtcore_srp.iu.opcodes.Solicited`.
    """

    tag: int
    delta: int
    solicited: int = 0

    @staticmethod
    def parse(unit: Unit) -> "CreditRequest":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.CRED_REQ, HEADER_BYTES)
        _, solicited, delta, tag = _CREDIT.unpack_from(unit)
        return CreditRequest(tag, delta, solicited)

    def build(self) -> bytes:
        """The 16 bytes of the information unit."""
        return _CREDIT.pack(Opcode.CRED_REQ, self.solicited, self.delta, self.tag)


class EventRequest(NamedTuple):
    """SRP_AER_REQ: the target reports an asynchronous event of a logical unit.

    :param delta: how many requests more the initiator may send now.
    :param lun: the LUN field: eight bytes as a big-endian number.
    :param solicited: bit SOLNT of :class:`~tgtcore_srp.iu.opcodes.Solicited`.
    """

    tag: int
    delta: int
    lun: int
    sense: bytes
    solicited: int = 0

    @staticmethod
    def parse(unit: Unit) -> "EventRequest":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.AER_REQ, EVENT_BYTES)
        _, solicited, delta, tag, lun, length = _EVENT.unpack_from(unit)
        room = len(unit) - EVENT_BYTES
        if length > room:
            raise Malformed("SRP_AER_REQ", "sense data length", length, f"{room} at most", LogoutReason.INVALID_LENGTH)
        return EventRequest(tag, delta, lun, bytes(unit[EVENT_BYTES : EVENT_BYTES + length]), solicited)

    def build(self) -> bytes:
        """The bytes of the information unit."""
        header = _EVENT.pack(Opcode.AER_REQ, self.solicited, self.delta, self.tag, self.lun, len(self.sense))
        return header + self.sense
