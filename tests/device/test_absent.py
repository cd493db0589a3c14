import pytest

from tgtcore.scsi import asc
from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.device import check_well_formed
from tgtcore.testing.initiator import Initiator

NOT_SUPPORTED = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_UNIT_NOT_SUPPORTED)
INVALID_FIELD = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
ABSENT = [
    5,
    bytes.fromhex("0000000100000000"),
    bytes.fromhex("4005000000000000"),
    b"\xff" * 8,
]


@pytest.mark.parametrize("lun", ABSENT)
def test_a_lun_without_a_logical_unit(initiator: Initiator, lun: int | bytes) -> None:
    inquiry = initiator.execute("12 00 00 00 24", lun=lun)
    assert inquiry.data[0] == 0x7F
    assert len(inquiry.data) == 0x24
    assert initiator.execute("00", lun=lun).code == NOT_SUPPORTED
    assert initiator.execute("28", lun=lun).code == NOT_SUPPORTED
    sense = initiator.execute("03 00 00 00 ff", lun=lun)
    assert sense.status is Status.GOOD
    assert parse_sense(sense.data).code == asc.LOGICAL_UNIT_NOT_SUPPORTED


def test_there_is_no_page_of_nothing(initiator: Initiator) -> None:
    assert initiator.execute("12 01 00 00 24", lun=5).code == NOT_SUPPORTED
    assert initiator.execute("12 00 01 00 24", lun=5).code == INVALID_FIELD


def test_reserved_bits_are_refused_here_too(initiator: Initiator) -> None:
    result = initiator.execute("12 02 00 00 24", lun=5)
    assert result.code == INVALID_FIELD
    assert result.sense.field is not None
    assert (result.sense.field.byte, result.sense.field.bit) == (1, 1)


def test_the_well_known_logical_unit(initiator: Initiator) -> None:
    lun = REPORT_LUNS_WELL_KNOWN
    assert initiator.execute("00", lun=lun).status is Status.GOOD
    assert initiator.execute("12 00 00 00 24", lun=lun).data[0] == 0x1E
    assert initiator.execute("12 01 00 00 24", lun=lun).data == bytes.fromhex("1e 00 00 01 00")
    assert initiator.execute("12 01 80 00 24", lun=lun).code == INVALID_FIELD
    assert initiator.execute("28", lun=lun).code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_COMMAND_OPERATION_CODE)
    assert parse_sense(initiator.execute("03 00 00 00 ff", lun=lun).data).key is SenseKey.NO_SENSE


@pytest.mark.parametrize("lun", [5, REPORT_LUNS_WELL_KNOWN])
@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_every_opcode_ends(initiator: Initiator, lun: int | bytes, fill: bytes) -> None:
    for opcode in range(256):
        check_well_formed(initiator.execute(bytes((opcode,)).ljust(16, fill), lun=lun))
