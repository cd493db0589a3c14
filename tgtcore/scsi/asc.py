"""Additional sense codes and qualifiers that the framework uses, by their names in SPC-5 annex F.

Each constant is an (ASC, ASCQ) pair; :data:`TEXT` has the wording for logs.
"""

TEXT: dict[tuple[int, int], str] = {}
"""What each known pair means, for logs."""


def _code(asc: int, ascq: int, text: str) -> tuple[int, int]:
    TEXT[asc, ascq] = text
    return asc, ascq


def text(code: tuple[int, int]) -> str:
    """The wording of ``code`` and its numbers: ``invalid field in CDB (24h/00h)``."""
    return f"{TEXT.get(code, 'unknown additional sense')} ({code[0]:02X}h/{code[1]:02X}h)"


NO_ADDITIONAL_SENSE_INFORMATION = _code(0x00, 0x00, "no additional sense information")
FILEMARK_DETECTED = _code(0x00, 0x01, "filemark detected")
END_OF_PARTITION_MEDIUM_DETECTED = _code(0x00, 0x02, "end-of-partition/medium detected")
BEGINNING_OF_PARTITION_MEDIUM_DETECTED = _code(0x00, 0x04, "beginning-of-partition/medium detected")
END_OF_DATA_DETECTED = _code(0x00, 0x05, "end-of-data detected")
OPERATION_IN_PROGRESS = _code(0x00, 0x16, "operation in progress")
PERIPHERAL_DEVICE_WRITE_FAULT = _code(0x03, 0x00, "peripheral device write fault")
LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE = _code(0x04, 0x00, "logical unit not ready, cause not reportable")
LOGICAL_UNIT_IS_IN_PROCESS_OF_BECOMING_READY = _code(0x04, 0x01, "logical unit is in process of becoming ready")
LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED = _code(
    0x04, 0x02, "logical unit not ready, initializing command required"
)
LOGICAL_UNIT_NOT_READY_MANUAL_INTERVENTION_REQUIRED = _code(
    0x04, 0x03, "logical unit not ready, manual intervention required"
)
LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS = _code(0x04, 0x04, "logical unit not ready, format in progress")
LOGICAL_UNIT_NOT_READY_OPERATION_IN_PROGRESS = _code(0x04, 0x07, "logical unit not ready, operation in progress")
LOGICAL_UNIT_NOT_READY_SELF_TEST_IN_PROGRESS = _code(0x04, 0x09, "logical unit not ready, self-test in progress")
LOGICAL_UNIT_NOT_ACCESSIBLE_ASYMMETRIC_ACCESS_STATE_TRANSITION = _code(
    0x04, 0x0A, "logical unit not accessible, asymmetric access state transition"
)
LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_STANDBY_STATE = _code(
    0x04, 0x0B, "logical unit not accessible, target port in standby state"
)
LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_UNAVAILABLE_STATE = _code(
    0x04, 0x0C, "logical unit not accessible, target port in unavailable state"
)
LOGICAL_UNIT_NOT_READY_OFFLINE = _code(0x04, 0x12, "logical unit not ready, offline")
LOGICAL_UNIT_NOT_READY_SPACE_ALLOCATION_IN_PROGRESS = _code(
    0x04, 0x14, "logical unit not ready, space allocation in progress"
)
LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS = _code(0x04, 0x1B, "logical unit not ready, sanitize in progress")
LOGICAL_UNIT_COMMUNICATION_FAILURE = _code(0x08, 0x00, "logical unit communication failure")
WRITE_ERROR = _code(0x0C, 0x00, "write error")
WRITE_ERROR_AUTO_REALLOCATION_FAILED = _code(0x0C, 0x02, "write error - auto reallocation failed")
WRITE_ERROR_NOT_ENOUGH_UNSOLICITED_DATA = _code(0x0C, 0x0D, "write error - not enough unsolicited data")
WRITE_ERROR_UNEXPECTED_UNSOLICITED_DATA = _code(0x0C, 0x0C, "write error - unexpected unsolicited data")
COPY_TARGET_DEVICE_NOT_REACHABLE = _code(0x0D, 0x02, "copy target device not reachable")
INVALID_INFORMATION_UNIT = _code(0x0E, 0x00, "invalid information unit")
LOGICAL_BLOCK_GUARD_CHECK_FAILED = _code(0x10, 0x01, "logical block guard check failed")
LOGICAL_BLOCK_APPLICATION_TAG_CHECK_FAILED = _code(0x10, 0x02, "logical block application tag check failed")
LOGICAL_BLOCK_REFERENCE_TAG_CHECK_FAILED = _code(0x10, 0x03, "logical block reference tag check failed")
UNRECOVERED_READ_ERROR = _code(0x11, 0x00, "unrecovered read error")
PARAMETER_LIST_LENGTH_ERROR = _code(0x1A, 0x00, "parameter list length error")
MISCOMPARE_DURING_VERIFY_OPERATION = _code(0x1D, 0x00, "miscompare during verify operation")
MISCOMPARE_VERIFY_OF_UNMAPPED_LBA = _code(0x1D, 0x01, "miscompare verify of unmapped LBA")
INVALID_COMMAND_OPERATION_CODE = _code(0x20, 0x00, "invalid command operation code")
ACCESS_DENIED_NO_ACCESS_RIGHTS = _code(0x20, 0x02, "access denied - no access rights")
LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE = _code(0x21, 0x00, "logical block address out of range")
INVALID_ELEMENT_ADDRESS = _code(0x21, 0x01, "invalid element address")
INVALID_FIELD_IN_CDB = _code(0x24, 0x00, "invalid field in CDB")
LOGICAL_UNIT_NOT_SUPPORTED = _code(0x25, 0x00, "logical unit not supported")
INVALID_FIELD_IN_PARAMETER_LIST = _code(0x26, 0x00, "invalid field in parameter list")
PARAMETER_NOT_SUPPORTED = _code(0x26, 0x01, "parameter not supported")
PARAMETER_VALUE_INVALID = _code(0x26, 0x02, "parameter value invalid")
INVALID_RELEASE_OF_PERSISTENT_RESERVATION = _code(0x26, 0x04, "invalid release of persistent reservation")
TOO_MANY_TARGET_DESCRIPTORS = _code(0x26, 0x06, "too many target descriptors")
UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE = _code(0x26, 0x07, "unsupported target descriptor type code")
TOO_MANY_SEGMENT_DESCRIPTORS = _code(0x26, 0x08, "too many segment descriptors")
UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE = _code(0x26, 0x09, "unsupported segment descriptor type code")
WRITE_PROTECTED = _code(0x27, 0x00, "write protected")
HARDWARE_WRITE_PROTECTED = _code(0x27, 0x01, "hardware write protected")
LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED = _code(0x27, 0x02, "logical unit software write protected")
SPACE_ALLOCATION_FAILED_WRITE_PROTECT = _code(0x27, 0x07, "space allocation failed write protect")
MEDIUM_MAY_HAVE_CHANGED = _code(0x28, 0x00, "not ready to ready change, medium may have changed")
POWER_ON_OR_RESET_OCCURRED = _code(0x29, 0x00, "power on, reset, or bus device reset occurred")
POWER_ON_OCCURRED = _code(0x29, 0x01, "power on occurred")
BUS_DEVICE_RESET_FUNCTION_OCCURRED = _code(0x29, 0x03, "bus device reset function occurred")
I_T_NEXUS_LOSS_OCCURRED = _code(0x29, 0x07, "I_T nexus loss occurred")
PARAMETERS_CHANGED = _code(0x2A, 0x00, "parameters changed")
MODE_PARAMETERS_CHANGED = _code(0x2A, 0x01, "mode parameters changed")
LOG_PARAMETERS_CHANGED = _code(0x2A, 0x02, "log parameters changed")
RESERVATIONS_PREEMPTED = _code(0x2A, 0x03, "reservations preempted")
RESERVATIONS_RELEASED = _code(0x2A, 0x04, "reservations released")
REGISTRATIONS_PREEMPTED = _code(0x2A, 0x05, "registrations preempted")
ASYMMETRIC_ACCESS_STATE_CHANGED = _code(0x2A, 0x06, "asymmetric access state changed")
IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED = _code(
    0x2A, 0x07, "implicit asymmetric access state transition failed"
)
CAPACITY_DATA_HAS_CHANGED = _code(0x2A, 0x09, "capacity data has changed")
COMMAND_SEQUENCE_ERROR = _code(0x2C, 0x00, "command sequence error")
COMMANDS_CLEARED_BY_ANOTHER_INITIATOR = _code(0x2F, 0x00, "commands cleared by another initiator")
INCOMPATIBLE_MEDIUM_INSTALLED = _code(0x30, 0x00, "incompatible medium installed")
MEDIUM_FORMAT_CORRUPTED = _code(0x31, 0x00, "medium format corrupted")
THIN_PROVISIONING_SOFT_THRESHOLD_REACHED = _code(0x38, 0x07, "thin provisioning soft threshold reached")
SAVING_PARAMETERS_NOT_SUPPORTED = _code(0x39, 0x00, "saving parameters not supported")
MEDIUM_NOT_PRESENT = _code(0x3A, 0x00, "medium not present")
MEDIUM_DESTINATION_ELEMENT_FULL = _code(0x3B, 0x0D, "medium destination element full")
MEDIUM_SOURCE_ELEMENT_EMPTY = _code(0x3B, 0x0E, "medium source element empty")
LOGICAL_UNIT_HAS_NOT_SELF_CONFIGURED_YET = _code(0x3E, 0x00, "logical unit has not self-configured yet")
LOGICAL_UNIT_FAILURE = _code(0x3E, 0x01, "logical unit failure")
MICROCODE_HAS_BEEN_CHANGED = _code(0x3F, 0x01, "microcode has been changed")
INQUIRY_DATA_HAS_CHANGED = _code(0x3F, 0x03, "inquiry data has changed")
DEVICE_IDENTIFIER_CHANGED = _code(0x3F, 0x05, "device identifier changed")
REPORTED_LUNS_DATA_HAS_CHANGED = _code(0x3F, 0x0E, "reported LUNs data has changed")
INTERNAL_TARGET_FAILURE = _code(0x44, 0x00, "internal target failure")
DATA_PHASE_ERROR = _code(0x4B, 0x00, "data phase error")
TOO_MUCH_WRITE_DATA = _code(0x4B, 0x02, "too much write data")
DATA_OFFSET_ERROR = _code(0x4B, 0x05, "data offset error")
INITIATOR_RESPONSE_TIMEOUT = _code(0x4B, 0x06, "initiator response timeout")
OVERLAPPED_COMMANDS_ATTEMPTED = _code(0x4E, 0x00, "overlapped commands attempted")
MEDIUM_REMOVAL_PREVENTED = _code(0x53, 0x02, "medium removal prevented")
SYSTEM_RESOURCE_FAILURE = _code(0x55, 0x00, "system resource failure")
INSUFFICIENT_RESOURCES = _code(0x55, 0x03, "insufficient resources")
INSUFFICIENT_REGISTRATION_RESOURCES = _code(0x55, 0x04, "insufficient registration resources")
OPERATOR_MEDIUM_REMOVAL_REQUEST = _code(0x5A, 0x01, "operator medium removal request")
FAILURE_PREDICTION_THRESHOLD_EXCEEDED = _code(0x5D, 0x00, "failure prediction threshold exceeded")
FAILURE_PREDICTION_THRESHOLD_EXCEEDED_FALSE = _code(0x5D, 0xFF, "failure prediction threshold exceeded (false)")
LOW_POWER_CONDITION_ON = _code(0x5E, 0x00, "low power condition on")
