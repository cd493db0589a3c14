"""Sense data in fixed and descriptor format (SPC-5 4.4)."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Self

from tgtcore.errors import CheckCondition
from tgtcore.scsi import asc
from tgtcore.scsi.parameters import ParameterError, need


class SenseKey(IntEnum):
    """The broad kind of an error (SPC-5 table 48)."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    BLANK_CHECK = 0x8
    VENDOR_SPECIFIC = 0x9
    COPY_ABORTED = 0xA
    ABORTED_COMMAND = 0xB
    RESERVED = 0xC
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE
    COMPLETED = 0xF


class FieldPointer(NamedTuple):
    """The field at fault: byte offset, bit (``None``: the whole byte), and whether it lies in the CDB."""

    byte: int
    bit: int | None
    in_cdb: bool


FIXED_BYTES = 18
_FIXED = struct.Struct(">BxBIBIBBB3s")
_DESCRIPTOR_HEADER = struct.Struct(">BBBBxxxB")
_INFORMATION = struct.Struct(">BBBxQ")
_KEY_SPECIFIC = struct.Struct(">BBxx3sx")
_STREAM = struct.Struct(">BBxB")
_UINT32_MAX = 0xFFFF_FFFF
_VALID = _SKSV = 0x80
_FILEMARK, _END_OF_MEDIUM, _INCORRECT_LENGTH = 0x80, 0x40, 0x20
_PROGRESS_KEYS = frozenset({SenseKey.NO_SENSE, SenseKey.NOT_READY})


@dataclass(frozen=True, slots=True)
class Sense:
    """One sense data value, independent of its format on the wire.

    :param code: additional sense code and qualifier, see :mod:`tgtcore.scsi.asc`.
    :param information: the INFORMATION field; omitted from fixed format when it needs more than 32 bits.
    :param command_specific: the COMMAND-SPECIFIC INFORMATION field; zero in fixed format when over 32 bits.
    :param field: field pointer; only sent with ILLEGAL REQUEST.
    :param progress: progress indication in 1/65536; only sent with NO SENSE and NOT READY.
    :param deferred: the error belongs to an earlier command.
    """

    key: SenseKey
    code: tuple[int, int]
    information: int | None = None
    command_specific: int | None = None
    field: FieldPointer | None = None
    progress: int | None = None
    deferred: bool = False
    filemark: bool = False
    end_of_medium: bool = False
    incorrect_length: bool = False

    @classmethod
    def of(cls, error: CheckCondition) -> Self:
        """The sense data that reports ``error``."""
        field = None if error.field is None else FieldPointer(*error.field, error.in_cdb)
        return cls(SenseKey(error.key), error.code, error.information, error.command_specific, field)

    @property
    def asc(self) -> int:
        """ADDITIONAL SENSE CODE."""
        return self.code[0]

    @property
    def ascq(self) -> int:
        """ADDITIONAL SENSE CODE QUALIFIER."""
        return self.code[1]

    def fixed(self) -> bytes:
        """18 bytes of fixed format sense data (SPC-5 4.4.3)."""
        information = self.information
        valid = _VALID if information is not None and information <= _UINT32_MAX else 0
        specific = self.command_specific
        return _FIXED.pack(
            valid | 0x70 | self.deferred,
            self._stream_bits() | self.key,
            information if valid and information is not None else 0,
            FIXED_BYTES - 8,
            specific if specific is not None and specific <= _UINT32_MAX else 0,
            *self.code,
            0,
            self._key_specific() or bytes(3),
        )

    def descriptor(self) -> bytes:
        """Descriptor format sense data with the descriptors that have something to say (SPC-5 4.4.2)."""
        body = b""
        if self.information is not None:
            body += _INFORMATION.pack(0x00, 0x0A, _VALID, self.information)
        if self.command_specific is not None:
            body += _INFORMATION.pack(0x01, 0x0A, 0, self.command_specific)
        key_specific = self._key_specific()
        if key_specific:
            body += _KEY_SPECIFIC.pack(0x02, 0x06, key_specific)
        if self._stream_bits():
            body += _STREAM.pack(0x04, 0x02, self._stream_bits())
        return _DESCRIPTOR_HEADER.pack(0x72 | self.deferred, self.key, *self.code, len(body)) + body

    def encode(self, descriptor_format: bool) -> bytes:
        """The format that D_SENSE of the Control mode page selects."""
        return self.descriptor() if descriptor_format else self.fixed()

    def describe(self) -> str:
        """One line for logs."""
        parts = [self.key.name.lower().replace("_", " "), asc.text(self.code)]
        if self.field is not None:
            bit = "" if self.field.bit is None else f" bit {self.field.bit}"
            parts.append(f"{'CDB' if self.field.in_cdb else 'parameter list'} byte {self.field.byte}{bit}")
        if self.information is not None:
            parts.append(f"information {self.information:#x}")
        if self.progress is not None:
            parts.append(f"progress {self.progress * 100 // 65536}%")
        if self.deferred:
            parts.append("deferred")
        return ", ".join(parts)

    def _stream_bits(self) -> int:
        return (
            _FILEMARK * self.filemark | _END_OF_MEDIUM * self.end_of_medium | _INCORRECT_LENGTH * self.incorrect_length
        )

    def _key_specific(self) -> bytes:
        if self.field is not None and self.key is SenseKey.ILLEGAL_REQUEST:
            bit = 0 if self.field.bit is None else 0x08 | self.field.bit
            return bytes((_SKSV | 0x40 * self.field.in_cdb | bit,)) + self.field.byte.to_bytes(2, "big")
        if self.progress is not None and self.key in _PROGRESS_KEYS:
            return bytes((_SKSV,)) + self.progress.to_bytes(2, "big")
        return b""


def parse_sense(data: bytes) -> Sense:
    """Sense data in either format; for initiators, tools and tests.

    :raises ParameterError: the data is truncated or has an unknown response code.
    """
    need(data, 8, "sense data")
    response = data[0] & 0x7F
    if response in (0x70, 0x71):
        return _parse_fixed(data)
    if response in (0x72, 0x73):
        return _parse_descriptors(data)
    raise ParameterError(f"sense response code {response:02X}h is not one of 70h to 73h", byte=0, bit=6)


def _parse_fixed(data: bytes) -> Sense:
    end = 8 + data[7]
    need(data, end, "fixed format sense data")
    response, flags, information, _, specific, code, qualifier, _, key_specific = _FIXED.unpack(
        data[:end][:FIXED_BYTES].ljust(FIXED_BYTES, b"\0")
    )
    key = SenseKey(flags & 0x0F)
    field, progress = _parse_key_specific(key, key_specific)
    return Sense(
        key,
        (code, qualifier),
        information if response & _VALID else None,
        specific or None,
        field,
        progress,
        bool(response & 1),
        *_stream_flags(flags),
    )


def _parse_descriptors(data: bytes) -> Sense:
    response, key_byte, code, qualifier, additional = _DESCRIPTOR_HEADER.unpack_from(data)
    end = 8 + additional
    need(data, end, "descriptor format sense data")
    key = SenseKey(key_byte & 0x0F)
    information = specific = field = progress = None
    flags = 0
    offset = 8
    while offset < end:
        need(data[:end], offset + 2, "sense data descriptor")
        kind, length = data[offset], data[offset + 1]
        need(data[:end], offset + 2 + length, f"sense data descriptor {kind:02X}h")
        body = data[offset + 2 : offset + 2 + length]
        if length < _DESCRIPTOR_BODY_BYTES.get(kind, 0):
            raise ParameterError(f"sense data descriptor {kind:02X}h has only {length} bytes", byte=offset + 1)
        if kind == 0x00:
            information = int.from_bytes(body[2:10], "big") if body[0] & _VALID else None
        elif kind == 0x01:
            specific = int.from_bytes(body[2:10], "big")
        elif kind == 0x02:
            field, progress = _parse_key_specific(key, body[2:5])
        elif kind == 0x04:
            flags = body[1]
        offset += 2 + length
    return Sense(
        key, (code, qualifier), information, specific, field, progress, bool(response & 1), *_stream_flags(flags)
    )


_DESCRIPTOR_BODY_BYTES = {0x00: 10, 0x01: 10, 0x02: 6, 0x04: 2}


def _stream_flags(flags: int) -> tuple[bool, bool, bool]:
    return bool(flags & _FILEMARK), bool(flags & _END_OF_MEDIUM), bool(flags & _INCORRECT_LENGTH)


def _parse_key_specific(key: SenseKey, raw: bytes) -> tuple[FieldPointer | None, int | None]:
    if not raw[0] & _SKSV:
        return None, None
    value = int.from_bytes(raw[1:3], "big")
    if key is SenseKey.ILLEGAL_REQUEST:
        return FieldPointer(value, raw[0] & 0x07 if raw[0] & 0x08 else None, bool(raw[0] & 0x40)), None
    return None, value if key in _PROGRESS_KEYS else None
