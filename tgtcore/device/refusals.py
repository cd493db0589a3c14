"""The refusals that many commands share, with their field pointers."""

from tgtcore.errors import CheckCondition
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey


def invalid_cdb_field(byte: int, bit: int | None = None) -> CheckCondition:
    """INVALID FIELD IN CDB.

    :param byte: where the field begins in the CDB.
    :param bit: the field's most significant bit, None when it begins with bit 7 of the byte.
    """
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(byte, bit))


def invalid_parameter(byte: int, bit: int | None = None) -> CheckCondition:
    """INVALID FIELD IN PARAMETER LIST; parameters as for :func:`invalid_cdb_field`."""
    return CheckCondition(
        SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_PARAMETER_LIST, field=(byte, bit), in_cdb=False
    )


def parameter_list_length_error() -> CheckCondition:
    """PARAMETER LIST LENGTH ERROR: the list ends inside a field."""
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.PARAMETER_LIST_LENGTH_ERROR)


def out_of_range(lba: int | None = None) -> CheckCondition:
    """LOGICAL BLOCK ADDRESS OUT OF RANGE."""
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, information=lba)


def write_protected() -> CheckCondition:
    """WRITE PROTECTED."""
    return CheckCondition(SenseKey.DATA_PROTECT, asc.WRITE_PROTECTED)
