"""The login of an RDMA channel: SRP_LOGIN_REQ, SRP_LOGIN_RSP, SRP_LOGIN_REJ (SRP r16a, 6.2 to 6.4)."""

import struct
from typing import Final, NamedTuple

from tgtcore_srp.iu.header import Unit, check
from tgtcore_srp.iu.opcodes import Opcode

LOGIN_REQUEST_BYTES: Final = 64
LOGIN_REQUEST_CM_BYTES: Final = 56
LOGIN_RESPONSE_BYTES: Final = 52
LOGIN_REJECT_BYTES: Final = 32
PORT_BYTES: Final = 16
"""Size of a port identifier."""

IT_IU_BYTES_MIN: Final = 64
"""The least that an initiator may require for what it sends."""

_REQUEST = struct.Struct(">B7xQI4xHBxH2x16s16s")
_REQUEST_CM = struct.Struct(">QHBBI16s16sH6x")
_RESPONSE = struct.Struct(">B3xiQIIHB25x")
_REJECT = struct.Struct(">B3xIQ8xH6x")
_CHANNELS_MASK = 0x03


class LoginRequest(NamedTuple):
    """SRP_LOGIN_REQ.  What a target can or will not serve is no breach: it has reasons for rejection.

    :param tag: echoed in the answer.
    :param it_iu_bytes: the longest unit that the initiator is going to send.
    :param formats: which descriptor formats it requires, of :class:`~tgtcore_srp.iu.opcodes.BufferFormats`.
    :param initiator_port: 16 bytes.
    :param target_port: 16 bytes.
    :param flags: multi-channel action and :class:`~tgtcore_srp.iu.opcodes.LoginRequestFlag`.
    :param immediate_offset: where immediate data is to begin in commands, if its flag is set.
    """

    tag: int
    it_iu_bytes: int
    formats: int
    initiator_port: bytes
    target_port: bytes
    flags: int = 0
    immediate_offset: int = 0

    @property
    def channels(self) -> int:
        """The multi-channel action: one of :class:`~tgtcore_srp.iu.opcodes.MultiChannelAction`, or a reserved value."""
        return self.flags & _CHANNELS_MASK

    @staticmethod
    def parse(unit: Unit) -> "LoginRequest":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.LOGIN_REQ, LOGIN_REQUEST_BYTES)
        _, tag, it_iu_bytes, formats, flags, offset, initiator, target = _REQUEST.unpack_from(unit)
        return LoginRequest(tag, it_iu_bytes, formats, initiator, target, flags, offset)

    @staticmethod
    def parse_cm(private_data: Unit) -> "LoginRequest":
        """Read the shorter form that travels in the private data of an RDMA/CM connection request.

        :raises Malformed: it is not one, or too short.
        """
        check(private_data, Opcode.LOGIN_REQ, LOGIN_REQUEST_CM_BYTES, opcode_at=11)
        tag, formats, flags, _, it_iu_bytes, initiator, target, offset = _REQUEST_CM.unpack_from(private_data)
        return LoginRequest(tag, it_iu_bytes, formats, initiator, target, flags, offset)

    def build(self) -> bytes:
        """The 64 bytes of the information unit."""
        tag, it_iu_bytes, formats, initiator, target, flags, offset = self
        return _REQUEST.pack(Opcode.LOGIN_REQ, tag, it_iu_bytes, formats, flags, offset, initiator, target)

    def build_cm(self) -> bytes:
        """The 56 bytes of RDMA/CM private data."""
        tag, it_iu_bytes, formats, initiator, target, flags, offset = self
        return _REQUEST_CM.pack(tag, formats, flags, Opcode.LOGIN_REQ, it_iu_bytes, initiator, target, offset)


class LoginResponse(NamedTuple):
    """SRP_LOGIN_RSP.

    :param tag: of the request.
    :param delta: how many requests the initiator may send.
    :param it_iu_bytes: the longest unit that the target takes.
    :param ti_iu_bytes: the longest unit that it sends.
    :param formats: which descriptor formats it supports, of :class:`~tgtcore_srp.iu.opcodes.BufferFormats`.
    :param flags: multi-channel result and :class:`~tgtcore_srp.iu.opcodes.LoginResponseFlag`.
    """

    tag: int
    delta: int
    it_iu_bytes: int
    ti_iu_bytes: int
    formats: int
    flags: int = 0

    @property
    def channels(self) -> int:
        """The multi-channel result: one of :class:`~tgtcore_srp.iu.opcodes.MultiChannelResult`, or a reserved value."""
        return self.flags & _CHANNELS_MASK

    @staticmethod
    def parse(unit: Unit) -> "LoginResponse":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.LOGIN_RSP, LOGIN_RESPONSE_BYTES)
        _, delta, tag, it_iu_bytes, ti_iu_bytes, formats, flags = _RESPONSE.unpack_from(unit)
        return LoginResponse(tag, delta, it_iu_bytes, ti_iu_bytes, formats, flags)

    def build(self) -> bytes:
        """The 52 bytes of the information unit."""
        tag, delta, it_iu_bytes, ti_iu_bytes, formats, flags = self
        return _RESPONSE.pack(Opcode.LOGIN_RSP, delta, tag, it_iu_bytes, ti_iu_bytes, formats, flags)


class LoginReject(NamedTuple):
    """SRP_LOGIN_REJ.

    :param tag: of the request.
    :param reason: one of :class:`~tgtcore_srp.iu.opcodes.RejectReason`, or an unknown number.
    :param formats: which descriptor formats the target supports, of :class:`~tgtcore_srp.iu.opcodes.BufferFormats`.
    """

    tag: int
    reason: int
    formats: int

    @staticmethod
    def parse(unit: Unit) -> "LoginReject":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.LOGIN_REJ, LOGIN_REJECT_BYTES)
        _, reason, tag, formats = _REJECT.unpack_from(unit)
        return LoginReject(tag, reason, formats)

    def build(self) -> bytes:
        """The 32 bytes of the information unit."""
        return _REJECT.pack(Opcode.LOGIN_REJ, self.reason, self.tag, self.formats)
