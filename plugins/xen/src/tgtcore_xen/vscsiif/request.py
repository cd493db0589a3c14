"""Requests, as a front end writes them (vscsiif.h: struct vscsiif_request)."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import (
    CDB_BYTES,
    INDIRECT,
    PAGE_BYTES,
    SEGMENT_BYTES,
    SEGMENTS,
    SEGMENTS_AT,
    SLOT_BYTES,
    Act,
    Direction,
)
from tgtcore_xen.vscsiif.segments import Segment, beyond_page, build_segments, count_indirect, parse_segments

_FIELDS = "<HBB16s2x4HBB"
_pack = struct.Struct(_FIELDS).pack
_unpack = struct.Struct(_FIELDS + "IHH").unpack_from
_make = tuple.__new__
_COMMAND, _BOTH, _NONE = int(Act.COMMAND), int(Direction.BOTH), int(Direction.NONE)


class Request(NamedTuple):
    """One request.

    :param rqid: by which its response names it, and an abort.
    :param act: one of :class:`~tgtcore_xen.vscsiif.layout.Act`, or another number.
    :param channel: with ``target`` and ``lun`` the virtual device that it is for.
    :param cdb: 16 bytes: what the CDB does not have of them is zero.
    :param direction: one of :class:`~tgtcore_xen.vscsiif.layout.Direction`.
    :param ref_rqid: the command that an abort is for.
    :param segments: where the data is.  With ``indirect`` these are tables of segments; those are what they have room for.
    :param length: of the segments together, in bytes.
    """

    rqid: int
    act: int = Act.COMMAND
    channel: int = 0
    target: int = 0
    lun: int = 0
    cdb: bytes = bytes(CDB_BYTES)
    direction: int = Direction.NONE
    ref_rqid: int = 0
    segments: Sequence[Segment] = ()
    length: int = 0
    indirect: bool = False

    @staticmethod
    def parse(slot: bytes, segments_max: int) -> "Request":
        """Read a slot that was copied.  What only commands have is read of commands only.

        :param segments_max: how many segments a command may have, as the front end was told.
        :raises Malformed: it is no request that can be served.
        """
        rqid, act, cdb_bytes, cdb, channel, target, lun, ref, direction, count, first, offset, length = _unpack(slot)
        if act != _COMMAND:
            return _make(Request, (rqid, act, channel, target, lun, cdb, _NONE, ref, (), 0, False))
        if cdb_bytes < CDB_BYTES:
            if not cdb_bytes:
                raise _wrong_cdb(cdb_bytes)
            cdb = cdb[:cdb_bytes].ljust(CDB_BYTES, b"\0")
        elif cdb_bytes > CDB_BYTES:
            raise _wrong_cdb(cdb_bytes)
        if not _BOTH < direction <= _NONE:
            raise Malformed("the data direction", direction, "1 (to the device), 2 (from it) or 3 (no data)")
        indirect = bool(count & INDIRECT)
        if indirect:
            count &= ~INDIRECT
        segments: Sequence[Segment]
        if count == 1:  # what most commands have, and one table the long ones
            if offset + length > PAGE_BYTES:
                raise beyond_page(offset, length)
            segments = ((first, offset, length),)
        elif not count:
            segments, length = (), 0
        elif count > SEGMENTS:
            raise Malformed("the number of segments", count, f"{SEGMENTS} at most")
        else:
            segments, length = parse_segments(slot[SEGMENTS_AT : SEGMENTS_AT + count * SEGMENT_BYTES])
        if indirect:
            count_indirect(segments, segments_max)
        return _make(Request, (rqid, act, channel, target, lun, cdb, direction, ref, segments, length, indirect))

    def completed(self, segments: Sequence[Segment], length: int) -> "Request":
        """The same request with the segments that its tables hold, and their length."""
        return _make(Request, (*self[:-3], segments, length, False))

    def build(self, cdb_bytes: int = CDB_BYTES) -> bytes:
        """Its bytes.

        :param cdb_bytes: how long the CDB is said to be.
        """
        count = len(self.segments) | (INDIRECT if self.indirect else 0)
        header = _pack(
            self.rqid,
            self.act,
            cdb_bytes,
            self.cdb,
            self.channel,
            self.target,
            self.lun,
            self.ref_rqid,
            self.direction,
            count,
        )
        return (header + build_segments(self.segments)).ljust(SLOT_BYTES, b"\0")


def rqid_of(slot: bytes) -> int:
    """What a response names a request by that can't be read."""
    return int.from_bytes(slot[:2], "little")


def without_lun(cdb: bytes) -> bytes:
    """A CDB without the LUN that SCSI-2 (7.2.2) has in the upper bits of byte 1, which are reserved today.

    Linux writes it there as long as it does not know that a target is newer, so in the first INQUIRY of a target without LUN 0.
    """
    return bytes((cdb[0], cdb[1] & 0x1F)) + cdb[2:]


def _wrong_cdb(length: int) -> Malformed:
    return Malformed("the length of the CDB", length, f"1 to {CDB_BYTES} bytes")
