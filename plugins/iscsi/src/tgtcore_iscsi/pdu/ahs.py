"""Additional header segments of a SCSI Command: the rest of a long CDB, the read length of a bidirectional one.

RFC 7143 11.2.2.  Every length is checked against what has arrived.
"""

import struct
from typing import Final, NamedTuple

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import AHS_BYTES_MAX, CDB_BYTES_MAX
from tgtcore_iscsi.pdu.codes import RejectReason

CDB_IN_HEADER: Final = 16
EXTENDED_CDB: Final = 0x01
BIDI_READ_LENGTH: Final = 0x02

_TYPE_MASK = 0x3F
_header = struct.Struct(">HBx")
_word = struct.Struct(">I")
_BIDI_AHS_LENGTH = 5


class Additional(NamedTuple):
    """What the additional header segments say: the whole CDB, and the read length if there was one."""

    cdb: bytes
    read_length: int | None


def parse_ahs(cdb: bytes, ahs: bytes | bytearray | memoryview) -> Additional:
    """Read the additional header segments of a SCSI Command whose header held the 16 bytes ``cdb``.

    :param ahs: exactly the TotalAHSLength words that were sent.
    :raises RemoteProtocolError: a type is unknown or comes twice, or a length is impossible.
    """
    read_length: int | None = None
    rest: bytes | None = None
    offset = 0
    while offset < len(ahs):
        kind, body, offset = _next_segment(ahs, offset)
        if kind == EXTENDED_CDB and rest is None:
            rest = bytes(body)
        elif kind == BIDI_READ_LENGTH and read_length is None:
            read_length = _read_length(body)
        else:
            raise _invalid(f"AHS type {kind:#04x} is unknown or comes twice")
    if rest is None:
        return Additional(cdb, read_length)
    if not rest or len(cdb) + len(rest) > CDB_BYTES_MAX:
        raise _invalid(f"CDB of {len(cdb) + len(rest)} bytes in an AHS, expected 17 to {CDB_BYTES_MAX}")
    return Additional(cdb + rest, read_length)


def build_ahs(extended_cdb: bytes = b"", read_length: int | None = None) -> bytes:
    """Return the additional header segments for the CDB bytes from the 17th on and a bidirectional read length."""
    segments = b""
    if extended_cdb:
        segments += _header.pack(len(extended_cdb) + 1, EXTENDED_CDB) + extended_cdb + b"\0" * (-len(extended_cdb) % 4)
    if read_length is not None:
        segments += _header.pack(_BIDI_AHS_LENGTH, BIDI_READ_LENGTH) + _word.pack(read_length)
    if len(segments) > AHS_BYTES_MAX:
        raise ValueError(f"additional headers of {len(segments)} bytes, at most {AHS_BYTES_MAX} fit a PDU")
    return segments


def _next_segment(ahs: bytes | bytearray | memoryview, offset: int) -> tuple[int, bytes | bytearray | memoryview, int]:
    """Return type, specific part and end of the segment at ``offset``."""
    if len(ahs) - offset < _header.size:
        raise _invalid(f"AHS ends after {len(ahs)} bytes, within the header of a segment")
    length, kind = _header.unpack_from(ahs, offset)
    # AHSLength counts what follows length and type, including the reserved byte that completes the first word
    end = offset + 3 + length
    if not length or end > len(ahs):
        raise _invalid(f"AHSLength {length} at byte {offset} of {len(ahs)}")
    return kind & _TYPE_MASK, ahs[offset + 4 : end], (end + 3) & ~3


def _read_length(body: bytes | bytearray | memoryview) -> int:
    if len(body) != _word.size:
        raise _invalid(f"AHSLength {len(body) + 1} of a bidirectional read length, expected {_BIDI_AHS_LENGTH}")
    value: int = _word.unpack(body)[0]
    return value


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=RejectReason.INVALID_PDU_FIELD)
