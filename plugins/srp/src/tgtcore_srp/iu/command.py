"""SRP_CMD: a SCSI command with its data buffer descriptors (SRP r16a, 6.8)."""

import struct
from typing import Final, NamedTuple

from tgtcore_srp.iu.descriptors import (
    SEGMENT_BYTES,
    BufferDescriptor,
    Source,
    parse_direct,
    parse_immediate,
    parse_indirect,
    parse_none,
)
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import Unit, too_short, wrong_opcode
from tgtcore_srp.iu.opcodes import BufferFormat, LogoutReason, Opcode, TaskAttribute

COMMAND_BYTES = 48
"""The shortest: no data, a CDB of 16 bytes."""

DIRECT_BYTES = COMMAND_BYTES + SEGMENT_BYTES
"""How long nearly every command is at least: one direct descriptor, nothing additional."""

_FIELDS = ">BB3xBBBQ4xQxBxB16s"
_HEADER = struct.Struct(_FIELDS)
_DIRECT_FIELDS = struct.Struct(_FIELDS + "QII")

unpack_direct = struct.Struct(">xB3xB2xQ4xQxBxB16sQII").unpack_from
"""Of a command of :data:`DIRECT_BYTES` or more: which answers are solicited, formats of both buffers, tag, LUN field, attribute,
length of the additional CDB, CDB; then address, key and length of the descriptor, if nothing additional is before it and there is
one buffer, whose format is direct.  Nothing is checked."""

_unpack_header = _HEADER.unpack_from
_CMD = int(Opcode.CMD)
_DIRECT = BufferFormat.DIRECT
DIRECT_IN: Final = int(BufferFormat.DIRECT)
"""Formats of both buffers, when there is data-in only."""
DIRECT_OUT: Final = BufferFormat.DIRECT << 4
"""When there is data-out only."""
_CDB_BYTES = 16
_ATTRIBUTES = {int(attribute) for attribute in TaskAttribute}
_ATTRIBUTE_MASK = 0x07
_LENGTH_MASK = 0xFC
_ADDITIONAL_BYTES_MAX = 260 - 16
"""The longest variable length CDB (SPC-5 4.2) without its first 16 bytes."""

_OUT_PARSERS = {
    int(BufferFormat.NONE): parse_none,
    int(BufferFormat.DIRECT): parse_direct,
    int(BufferFormat.INDIRECT): parse_indirect,
}
_OUT_PARSERS_IMMEDIATE = {**_OUT_PARSERS, int(BufferFormat.IMMEDIATE): parse_immediate}
_IN_PARSERS = _OUT_PARSERS


class Command(NamedTuple):
    """One SCSI command.

    :param tag: by which its answer and task management name it.
    :param lun: the LUN field: eight bytes as a big-endian number.
    :param attribute: one of :class:`~tgtcore_srp.iu.opcodes.TaskAttribute`.
    :param cdb: 16 bytes and those of the additional CDB.
    :param solicited: bits SCSOLNT and UCSOLNT of :class:`~tgtcore_srp.iu.opcodes.Solicited`.
    :param data_out: where the data to write is.
    :param data_in: where to put the data that is read.
    """

    tag: int
    lun: int
    attribute: int
    cdb: bytes
    solicited: int = 0
    data_out: BufferDescriptor | None = None
    data_in: BufferDescriptor | None = None

    @staticmethod
    def parse(unit: Unit, length: int | None = None, immediate_offset: int = 0) -> "Command":
        """Read it.

        :param length: how much of ``unit`` has arrived; None: all.
        :param immediate_offset: where immediate data begins, as agreed at login; 0: there is to be none.
        :raises Malformed: it breaks the standard.
        """
        return _parse(unit, len(unit) if length is None else length, immediate_offset)

    def build(self, immediate: bytes = b"") -> bytes:
        """Its bytes.

        :param immediate: the data of an immediate buffer.
        """
        tag, lun, attribute, cdb, solicited, out, in_ = self
        one = in_ if out is None else out if in_ is None else None
        if one is not None and one.format is _DIRECT and len(cdb) == _CDB_BYTES:
            form = DIRECT_IN if out is None else DIRECT_OUT
            segment = one.segments[0]
            return _DIRECT_FIELDS.pack(_CMD, solicited, form, 0, 0, tag, lun, attribute, 0, cdb, *segment)
        return _build(self, immediate)


def _parse(unit: Unit, length: int, immediate_offset: int) -> Command:
    """Read any command."""
    if length < COMMAND_BYTES:
        raise too_short("SRP_CMD", length, COMMAND_BYTES)
    opcode, solicited, form, out_count, in_count, tag, lun, attribute, more, cdb = _unpack_header(unit)
    if opcode != _CMD:
        raise wrong_opcode(Opcode.CMD, opcode)
    attribute &= _ATTRIBUTE_MASK
    if attribute not in _ATTRIBUTES:
        raise Malformed("SRP_CMD", "task attribute", attribute, "0, 1, 2 or 4")
    at = COMMAND_BYTES + (more & _LENGTH_MASK)
    if more & ~_LENGTH_MASK:
        raise Malformed("SRP_CMD", "additional CDB length", more, "a multiple of 4 bytes")
    if more > _ADDITIONAL_BYTES_MAX:
        raise Malformed("SRP_CMD", "additional CDB length", more, f"{_ADDITIONAL_BYTES_MAX} bytes at most")
    if at > length:
        raise Malformed("SRP_CMD", "additional CDB length", more, f"{length - COMMAND_BYTES} bytes at most")
    out_parsers = _OUT_PARSERS_IMMEDIATE if immediate_offset else _OUT_PARSERS
    parse_out, parse_in = out_parsers.get(form >> 4), _IN_PARSERS.get(form & 0x0F)
    if parse_out is None:
        raise _unsupported("data-out", form >> 4, LogoutReason.UNSUPPORTED_OUT_FORMAT)
    if parse_in is None:
        raise _unsupported("data-in", form & 0x0F, LogoutReason.UNSUPPORTED_IN_FORMAT)
    cdb += bytes(unit[COMMAND_BYTES:at])
    out, at = parse_out(Source(unit, length, "data-out", out_count, immediate_offset), at)
    in_, at = parse_in(Source(unit, length, "data-in", in_count), at)
    if out is not None and 0 < out.offset < at:
        raise Malformed("SRP_CMD", "immediate data offset", out.offset, f"{at} or more, behind the descriptors")
    return Command(tag, lun, attribute, cdb, solicited, out, in_)


def _build(command: Command, immediate: bytes) -> bytes:
    """The bytes of any command."""
    tag, lun, attribute, cdb, solicited, out, in_ = command
    form = (out.format << 4 if out else 0) | (in_.format if in_ else 0)
    counts = out.listed if out else 0, in_.listed if in_ else 0
    more = len(cdb) - _CDB_BYTES
    header = _HEADER.pack(_CMD, solicited, form, *counts, tag, lun, attribute, more, cdb[:_CDB_BYTES])
    unit = b"".join([header, cdb[_CDB_BYTES:], out.build() if out else b"", in_.build() if in_ else b""])
    return unit.ljust(out.offset, b"\0") + immediate if out and out.offset else unit


def _unsupported(side: str, found: int, reason: LogoutReason) -> Malformed:
    """The error for a format that can't be, or that was not agreed."""
    return Malformed("SRP_CMD", f"{side} buffer descriptor format", found, "one that login has agreed on", reason)
