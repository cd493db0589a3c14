"""SRP_RSP: the answer to a command or to a task management function (SRP r16a, 6.9)."""

import struct
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import Unit, check
from tgtcore_srp.iu.opcodes import LogoutReason, Opcode, ResponseFlag

RESPONSE_BYTES: Final = 36
"""The shortest: neither response data nor sense data."""

_HEADER = struct.Struct(">BB2xiQ2xBBIIII")
_CODE = struct.Struct(">3xB")
_RSP = int(Opcode.RSP)
_RSPVALID = int(ResponseFlag.RSPVALID)
_SNSVALID = int(ResponseFlag.SNSVALID)
_CONTRADICTIONS = (
    ("data-out residual flags", ResponseFlag.DOOVER | ResponseFlag.DOUNDER),
    ("data-in residual flags", ResponseFlag.DIOVER | ResponseFlag.DIUNDER),
)
_pack = _HEADER.pack
_make = tuple.__new__

build_good: Final[Callable[[int, int], bytes]] = partial(struct.Struct(">IiQ20x").pack, _RSP << 24)
"""The bytes of the shortest SRP_RSP, for what has ended as it should; from REQUEST LIMIT DELTA and the tag."""


def build_response(
    tag: int,
    delta: int,
    status: int = 0,
    flags: int = 0,
    out_residual: int = 0,
    in_residual: int = 0,
    sense: bytes = b"",
    code: int | None = None,
    solicited: int = 0,
) -> bytes:
    """The bytes of an SRP_RSP, without an object for it; the parameters are those of :class:`Response`.

    :param flags: the residual flags; RSPVALID and SNSVALID are added.
    """
    if code is not None:
        flags |= _RSPVALID
    if sense:
        flags |= _SNSVALID
    code_bytes = 0 if code is None else _CODE.size
    header = _pack(_RSP, solicited, delta, tag, flags, status, out_residual, in_residual, len(sense), code_bytes)
    if code is None:
        return header + sense
    return header + _CODE.pack(code) + sense


class Response(NamedTuple):
    """How a request ended.

    :param tag: of the request.
    :param delta: how many requests more the initiator may send now.
    :param status: the SCSI status; says nothing if there is a response code.
    :param flags: of :class:`~tgtcore_srp.iu.opcodes.ResponseFlag`.
    :param out_residual: by how many bytes the data-out buffer was too long or too short, if a flag says so.
    :param in_residual: the same of the data-in buffer.
    :param sense: sense data; empty: none.
    :param code: one of :class:`~tgtcore_srp.iu.opcodes.ResponseCode`, an unknown number, or None.
    :param solicited: bit SOLNT of :class:`~tgtcore_srp.iu.opcodes.Solicited`.
    """

    tag: int
    delta: int
    status: int = 0
    flags: int = 0
    out_residual: int = 0
    in_residual: int = 0
    sense: bytes = b""
    code: int | None = None
    solicited: int = 0

    @staticmethod
    def parse(unit: Unit) -> "Response":
        """Read an information unit.

        :raises Malformed: it is not one, is too short, or contradicts itself.
        """
        check(unit, Opcode.RSP, RESPONSE_BYTES)
        _, solicited, delta, tag, flags, status, out, in_, sense_length, code_length = _HEADER.unpack_from(unit)
        if not flags:
            return _make(Response, (tag, delta, status, 0, out, in_, b"", None, solicited))
        for field, both in _CONTRADICTIONS:
            if flags & both == both:
                raise Malformed("SRP_RSP", field, "over and under", "one of them at most")
        code, at = None, RESPONSE_BYTES
        if flags & _RSPVALID:
            code, at = _parse_code(unit, code_length), RESPONSE_BYTES + _CODE.size
        sense = _parse_sense(unit, at, sense_length) if flags & _SNSVALID else b""
        return Response(tag, delta, status, flags, out, in_, sense, code, solicited)

    def build(self) -> bytes:
        """The bytes of the information unit."""
        return build_response(*self)


def _parse_code(unit: Unit, length: int) -> int:
    """The response code in response data."""
    if length != _CODE.size:
        raise Malformed("SRP_RSP", "response data length", length, f"{_CODE.size} bytes")
    if len(unit) < RESPONSE_BYTES + length:
        raise _too_long("response data length", length, len(unit) - RESPONSE_BYTES)
    code: int = _CODE.unpack_from(unit, RESPONSE_BYTES)[0]
    return code


def _parse_sense(unit: Unit, at: int, length: int) -> bytes:
    """The sense data, which is there."""
    if not length:
        raise Malformed("SRP_RSP", "sense data length", 0, "some bytes, as SNSVALID says")
    if at + length > len(unit):
        raise _too_long("sense data length", length, len(unit) - at)
    return bytes(unit[at : at + length])


def _too_long(field: str, found: int, room: int) -> Malformed:
    """The error for a part that does not end with the unit."""
    return Malformed("SRP_RSP", field, found, f"{room} bytes at most", LogoutReason.INVALID_LENGTH)
