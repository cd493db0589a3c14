"""Operation codes and service actions by their names in the standards (SPC-5, SBC-4, SSC-5, SMC-3, MMC-6).

Where the same code means different things to different device types, the direct access name is the one here.
"""

from enum import IntEnum


class OperationCode(IntEnum):
    """Byte 0 of a CDB."""

    TEST_UNIT_READY = 0x00
    REZERO_UNIT = 0x01
    REQUEST_SENSE = 0x03
    FORMAT_UNIT = 0x04
    READ_BLOCK_LIMITS = 0x05
    REASSIGN_BLOCKS = 0x07
    READ_6 = 0x08
    WRITE_6 = 0x0A
    INQUIRY = 0x12
    MODE_SELECT_6 = 0x15
    RESERVE_6 = 0x16
    RELEASE_6 = 0x17
    MODE_SENSE_6 = 0x1A
    START_STOP_UNIT = 0x1B
    RECEIVE_DIAGNOSTIC_RESULTS = 0x1C
    SEND_DIAGNOSTIC = 0x1D
    PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1E
    READ_CAPACITY_10 = 0x25
    READ_10 = 0x28
    WRITE_10 = 0x2A
    SEEK_10 = 0x2B
    WRITE_AND_VERIFY_10 = 0x2E
    VERIFY_10 = 0x2F
    PRE_FETCH_10 = 0x34
    SYNCHRONIZE_CACHE_10 = 0x35
    READ_DEFECT_DATA_10 = 0x37
    WRITE_BUFFER = 0x3B
    READ_BUFFER_10 = 0x3C
    READ_LONG_10 = 0x3E
    WRITE_LONG_10 = 0x3F
    WRITE_SAME_10 = 0x41
    UNMAP = 0x42
    SANITIZE = 0x48
    LOG_SELECT = 0x4C
    LOG_SENSE = 0x4D
    MODE_SELECT_10 = 0x55
    RESERVE_10 = 0x56
    RELEASE_10 = 0x57
    MODE_SENSE_10 = 0x5A
    PERSISTENT_RESERVE_IN = 0x5E
    PERSISTENT_RESERVE_OUT = 0x5F
    VARIABLE_LENGTH = 0x7F
    THIRD_PARTY_COPY_OUT = 0x83
    THIRD_PARTY_COPY_IN = 0x84
    ATA_PASS_THROUGH_16 = 0x85
    READ_16 = 0x88
    COMPARE_AND_WRITE = 0x89
    WRITE_16 = 0x8A
    ORWRITE_16 = 0x8B
    WRITE_AND_VERIFY_16 = 0x8E
    VERIFY_16 = 0x8F
    PRE_FETCH_16 = 0x90
    SYNCHRONIZE_CACHE_16 = 0x91
    WRITE_SAME_16 = 0x93
    WRITE_ATOMIC_16 = 0x9C
    SERVICE_ACTION_IN_16 = 0x9E
    SERVICE_ACTION_OUT_16 = 0x9F
    REPORT_LUNS = 0xA0
    ATA_PASS_THROUGH_12 = 0xA1
    SECURITY_PROTOCOL_IN = 0xA2
    MAINTENANCE_IN = 0xA3
    MAINTENANCE_OUT = 0xA4
    READ_12 = 0xA8
    WRITE_12 = 0xAA
    WRITE_AND_VERIFY_12 = 0xAE
    VERIFY_12 = 0xAF
    SECURITY_PROTOCOL_OUT = 0xB5
    READ_DEFECT_DATA_12 = 0xB7


class PersistentReserveIn(IntEnum):
    """Service actions of PERSISTENT RESERVE IN (SPC-5)."""

    READ_KEYS = 0x00
    READ_RESERVATION = 0x01
    REPORT_CAPABILITIES = 0x02
    READ_FULL_STATUS = 0x03


class PersistentReserveOut(IntEnum):
    """Service actions of PERSISTENT RESERVE OUT (SPC-5)."""

    REGISTER = 0x00
    RESERVE = 0x01
    RELEASE = 0x02
    CLEAR = 0x03
    PREEMPT = 0x04
    PREEMPT_AND_ABORT = 0x05
    REGISTER_AND_IGNORE_EXISTING_KEY = 0x06
    REGISTER_AND_MOVE = 0x07
    REPLACE_LOST_RESERVATION = 0x08


class VariableLength(IntEnum):
    """Service actions of the variable length CDBs, which have them in bytes 8 and 9 (SBC-4)."""

    READ_32 = 0x0009
    VERIFY_32 = 0x000A
    WRITE_32 = 0x000B
    WRITE_AND_VERIFY_32 = 0x000C
    WRITE_SAME_32 = 0x000D
    ORWRITE_32 = 0x000E
    WRITE_ATOMIC_32 = 0x000F
    GET_LBA_STATUS_32 = 0x0012


class ServiceActionIn16(IntEnum):
    """Service actions of SERVICE ACTION IN (16) (SBC-4)."""

    READ_CAPACITY_16 = 0x10
    READ_LONG_16 = 0x11
    GET_LBA_STATUS_16 = 0x12


class MaintenanceIn(IntEnum):
    """Service actions of MAINTENANCE IN (SPC-5)."""

    REPORT_IDENTIFYING_INFORMATION = 0x05
    REPORT_TARGET_PORT_GROUPS = 0x0A
    REPORT_ALIASES = 0x0B
    REPORT_SUPPORTED_OPERATION_CODES = 0x0C
    REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS = 0x0D
    REPORT_PRIORITY = 0x0E
    REPORT_TIMESTAMP = 0x0F


class MaintenanceOut(IntEnum):
    """Service actions of MAINTENANCE OUT (SPC-5)."""

    SET_IDENTIFYING_INFORMATION = 0x06
    SET_TARGET_PORT_GROUPS = 0x0A
    CHANGE_ALIASES = 0x0B
    SET_PRIORITY = 0x0E
    SET_TIMESTAMP = 0x0F


SERVICE_ACTIONS: dict[int, type[IntEnum]] = {
    OperationCode.PERSISTENT_RESERVE_IN: PersistentReserveIn,
    OperationCode.PERSISTENT_RESERVE_OUT: PersistentReserveOut,
    OperationCode.VARIABLE_LENGTH: VariableLength,
    OperationCode.SERVICE_ACTION_IN_16: ServiceActionIn16,
    OperationCode.MAINTENANCE_IN: MaintenanceIn,
    OperationCode.MAINTENANCE_OUT: MaintenanceOut,
}
"""The operation codes whose commands are told apart by a service action."""
