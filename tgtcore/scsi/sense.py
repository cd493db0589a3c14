"""Sense data: sense keys, additional sense codes, and both formats (SPC-5 4.4)."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class SenseKey(IntEnum):
    """Sense keys (SPC-5 table 48)."""

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
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE
    COMPLETED = 0xF


Code = tuple[int, int]
"""Additional sense code and its qualifier."""

NO_ADDITIONAL_SENSE: Code = (0x00, 0x00)
LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE: Code = (0x04, 0x00)
LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED: Code = (0x04, 0x02)
WRITE_ERROR: Code = (0x0C, 0x00)
UNRECOVERED_READ_ERROR: Code = (0x11, 0x00)
PARAMETER_LIST_LENGTH_ERROR: Code = (0x1A, 0x00)
MISCOMPARE_DURING_VERIFY_OPERATION: Code = (0x1D, 0x00)
INVALID_COMMAND_OPERATION_CODE: Code = (0x20, 0x00)
LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE: Code = (0x21, 0x00)
INVALID_FIELD_IN_CDB: Code = (0x24, 0x00)
LOGICAL_UNIT_NOT_SUPPORTED: Code = (0x25, 0x00)
INVALID_FIELD_IN_PARAMETER_LIST: Code = (0x26, 0x00)
PARAMETER_NOT_SUPPORTED: Code = (0x26, 0x01)
PARAMETER_VALUE_INVALID: Code = (0x26, 0x02)
INVALID_RELEASE_OF_PERSISTENT_RESERVATION: Code = (0x26, 0x04)
WRITE_PROTECTED: Code = (0x27, 0x00)
SPACE_ALLOCATION_FAILED_WRITE_PROTECT: Code = (0x27, 0x07)
NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED: Code = (0x28, 0x00)
POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED: Code = (0x29, 0x00)
POWER_ON_OCCURRED: Code = (0x29, 0x01)
BUS_DEVICE_RESET_FUNCTION_OCCURRED: Code = (0x29, 0x03)
I_T_NEXUS_LOSS_OCCURRED: Code = (0x29, 0x07)
MODE_PARAMETERS_CHANGED: Code = (0x2A, 0x01)
LOG_PARAMETERS_CHANGED: Code = (0x2A, 0x02)
RESERVATIONS_PREEMPTED: Code = (0x2A, 0x03)
RESERVATIONS_RELEASED: Code = (0x2A, 0x04)
REGISTRATIONS_PREEMPTED: Code = (0x2A, 0x05)
ASYMMETRIC_ACCESS_STATE_CHANGED: Code = (0x2A, 0x06)
CAPACITY_DATA_HAS_CHANGED: Code = (0x2A, 0x09)
COMMAND_SEQUENCE_ERROR: Code = (0x2C, 0x00)
COMMAND_TIMEOUT_DURING_PROCESSING: Code = (0x2E, 0x02)
COMMANDS_CLEARED_BY_ANOTHER_INITIATOR: Code = (0x2F, 0x00)
THIN_PROVISIONING_SOFT_THRESHOLD_REACHED: Code = (0x38, 0x07)
SAVING_PARAMETERS_NOT_SUPPORTED: Code = (0x39, 0x00)
MEDIUM_NOT_PRESENT: Code = (0x3A, 0x00)
TARGET_OPERATING_CONDITIONS_HAVE_CHANGED: Code = (0x3F, 0x00)
INQUIRY_DATA_HAS_CHANGED: Code = (0x3F, 0x03)
REPORTED_LUNS_DATA_HAS_CHANGED: Code = (0x3F, 0x0E)
INTERNAL_TARGET_FAILURE: Code = (0x44, 0x00)
MEDIUM_REMOVAL_PREVENTED: Code = (0x53, 0x02)
INSUFFICIENT_RESOURCES: Code = (0x55, 0x03)
INSUFFICIENT_REGISTRATION_RESOURCES: Code = (0x55, 0x04)

NAMES: dict[Code, str] = {
    value: name.replace("_", " ")
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, tuple)
}
"""Text for logs and tools."""

_FIXED = struct.Struct(">BxBIBIBBB3s")
_FIXED_BYTES = _FIXED.size
_RESPONSE_FIXED = 0x70
_RESPONSE_DESCRIPTOR = 0x72
_INFORMATION = struct.Struct(">BBBxQ")
_FIELD = struct.Struct(">BB2x3sx")


@dataclass(frozen=True, slots=True)
class Sense:
    """What went wrong.

    :param information: INFORMATION field; in fixed format only values below 2**32 are valid.
    :param field: the field at fault as (byte, bit); bit None means the byte as a whole.
    :param field_in_cdb: whether ``field`` is in the CDB, else in the parameter list.
    :param deferred: the error belongs to an earlier command.
    """

    key: SenseKey
    asc: int = 0
    ascq: int = 0
    information: int | None = None
    command_specific: int | None = None
    field: tuple[int, int | None] | None = None
    field_in_cdb: bool = True
    deferred: bool = False

    def fixed(self) -> bytes:
        """Fixed format (SPC-5 4.4.3)."""
        information = self.information
        valid = information is not None and information < 1 << 32
        specific = self.command_specific or 0
        return _FIXED.pack(
            (0x80 if valid else 0) | _RESPONSE_FIXED | self.deferred,
            self.key,
            information if valid and information is not None else 0,
            _FIXED_BYTES - 8,
            specific if specific < 1 << 32 else 0,
            self.asc,
            self.ascq,
            0,
            self._field_pointer(),
        )

    def descriptor(self) -> bytes:
        """Descriptor format (SPC-5 4.4.2)."""
        parts = b""
        if self.information is not None:
            parts += _INFORMATION.pack(0x00, 0x0A, 0x80, self.information)
        if self.command_specific is not None:
            parts += _INFORMATION.pack(0x01, 0x0A, 0x00, self.command_specific)
        if self.field is not None:
            parts += _FIELD.pack(0x02, 0x06, self._field_pointer())
        head = bytes((_RESPONSE_DESCRIPTOR | self.deferred, self.key, self.asc, self.ascq, 0, 0, 0, len(parts)))
        return head + parts

    def encode(self, *, descriptor: bool) -> bytes:
        """Either format."""
        return self.descriptor() if descriptor else self.fixed()

    def describe(self) -> str:
        """For logs: ILLEGAL REQUEST, INVALID FIELD IN CDB."""
        text = NAMES.get((self.asc, self.ascq), f"{self.asc:02X}h/{self.ascq:02X}h")
        return f"{self.key.name.replace('_', ' ')}, {text}"

    def _field_pointer(self) -> bytes:
        """Sense key specific bytes (SPC-5 4.4.2.4.2): SKSV, C/D, BPV, bit pointer, field pointer."""
        if self.field is None:
            return bytes(3)
        byte, bit = self.field
        flags = 0x80 | (0x40 if self.field_in_cdb else 0)
        if bit is not None:
            flags |= 0x08 | bit
        return bytes((flags,)) + byte.to_bytes(2, "big")


def parse_sense(data: bytes) -> Sense:
    """Read either format.

    :raises ValueError: it is neither, or too short.
    """
    if len(data) < 8:
        raise ValueError(f"sense data of {len(data)} bytes, expected at least 8")
    response = data[0] & 0x7F
    if response & 0x7E == _RESPONSE_FIXED:
        padded = bytes(data).ljust(_FIXED_BYTES, b"\0")
        first, key, information, _, specific, asc, ascq, _, pointer = _FIXED.unpack(padded[:_FIXED_BYTES])
        return Sense(
            SenseKey(key & 0x0F),
            asc,
            ascq,
            information=information if first & 0x80 else None,
            command_specific=specific or None,
            **_parse_pointer(pointer),
            deferred=bool(response & 1),
        )
    if response & 0x7E == _RESPONSE_DESCRIPTOR:
        return _parse_descriptors(data, response)
    raise ValueError(f"sense data begins with {data[0]:02X}h, expected 70h to 73h")


def _parse_descriptors(data: bytes, response: int) -> Sense:
    found: dict[str, Any] = {}
    at, end = 8, min(len(data), 8 + data[7])
    while at + 2 <= end:
        kind, length = data[at], data[at + 1] + 2
        body = data[at : at + length]
        if len(body) < length:
            raise ValueError(f"sense descriptor at byte {at} is cut off")
        if kind in (0x00, 0x01) and length == _INFORMATION.size:
            found["information" if kind == 0 else "command_specific"] = _INFORMATION.unpack(body)[3]
        elif kind == 0x02 and length == _FIELD.size:
            found.update(_parse_pointer(body[4:7]))
        at += length
    return Sense(SenseKey(data[1] & 0x0F), data[2], data[3], deferred=bool(response & 1), **found)


def _parse_pointer(pointer: bytes) -> dict[str, Any]:
    if not pointer[0] & 0x80:
        return {}
    bit = pointer[0] & 0x07 if pointer[0] & 0x08 else None
    return {"field": (int.from_bytes(pointer[1:3], "big"), bit), "field_in_cdb": bool(pointer[0] & 0x40)}
