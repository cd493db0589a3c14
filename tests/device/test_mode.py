import pytest

from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator

INVALID_CDB = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
INVALID_PARAMETER = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_PARAMETER_LIST)
LENGTH_ERROR = (SenseKey.ILLEGAL_REQUEST, *asc.PARAMETER_LIST_LENGTH_ERROR)
D_SENSE, TAS = 0x04, 0x40
CONTROL = bytes.fromhex("0a 0a 22 10 00 40 00 00 00 00 00 00")


def control(*, d_sense: bool = False, tas: bool = True) -> bytes:
    page = bytearray(CONTROL)
    page[2] |= D_SENSE * d_sense
    page[5] = TAS * tas
    return bytes(page)


def select(initiator: Initiator, page: bytes, *, header: bytes = bytes(4)) -> tuple[int, int, int]:
    data = header + page
    return initiator.execute(bytes((0x15, 0x10, 0, 0, len(data), 0)), data).code


def test_current_values(initiator: Initiator) -> None:
    assert initiator.execute("1a 08 0a 00 ff").data == b"\x0f\0\0\0" + CONTROL
    assert initiator.execute("5a 08 0a 00 00 00 00 00 ff").data == b"\0\x12" + bytes(6) + CONTROL


def test_changeable_bits(initiator: Initiator) -> None:
    mask = initiator.execute("1a 08 4a 00 ff").data[4:]
    assert mask == bytes.fromhex("0a 0a 04 00 00 40 00 00 00 00 00 00")


def test_all_pages_and_subpages(initiator: Initiator) -> None:
    pages = initiator.execute("1a 08 3f 00 ff").data[4:]
    assert pages == CONTROL
    everything = initiator.execute("1a 08 3f ff ff").data[4:]
    assert everything == CONTROL + bytes.fromhex("4a 01 00 1c") + bytes(28)
    assert initiator.execute("1a 08 0a 01 ff").data[4:] == bytes.fromhex("4a 01 00 1c") + bytes(28)


def test_saved_values_are_not_there(initiator: Initiator) -> None:
    code = initiator.execute("1a 00 ca 00 ff").code
    assert code == (SenseKey.ILLEGAL_REQUEST, *asc.SAVING_PARAMETERS_NOT_SUPPORTED)


@pytest.mark.parametrize(
    "cdb", ["1a 00 1d 00 ff", "1a 00 0a 02 ff", "1a 00 3f 01 ff", "15 11 00 00 04", "15 00 00 00 04"]
)
def test_what_there_is_not_is_refused(initiator: Initiator, cdb: str) -> None:
    assert initiator.execute(cdb, bytes(4) if cdb.startswith("15") else b"").code == INVALID_CDB


def test_a_change_takes_effect_and_is_told_to_the_others(made: Bench, initiator: Initiator, other: Initiator) -> None:
    assert select(initiator, control(d_sense=True, tas=False)) == (0, 0, 0)
    assert not made.lus[0].task_aborted_status
    assert initiator.execute("ff").sense_bytes[0] == 0x72
    assert initiator.execute("1a 08 0a 00 ff").data[4:] == control(d_sense=True, tas=False)
    assert initiator.execute("1a 08 8a 00 ff").data[4:] == CONTROL
    assert other.execute("00").code == (SenseKey.UNIT_ATTENTION, *asc.MODE_PARAMETERS_CHANGED)


def test_no_change_is_told_to_nobody(initiator: Initiator, other: Initiator) -> None:
    assert select(initiator, control()) == (0, 0, 0)
    assert other.execute("00").status is Status.GOOD


def test_the_ten_byte_form(made: Bench, initiator: Initiator) -> None:
    data = bytes(8) + control(d_sense=True)
    assert initiator.execute(bytes((0x55, 0x10, 0, 0, 0, 0, 0, 0, len(data), 0)), data).status is Status.GOOD
    assert made.lus[0].descriptor_sense


def test_a_reset_brings_the_defaults_back(made: Bench, initiator: Initiator) -> None:
    select(initiator, control(d_sense=True))
    made.lus[0].reset()
    assert not made.lus[0].descriptor_sense
    assert initiator.execute("00").code[0] == SenseKey.UNIT_ATTENTION
    assert initiator.execute("1a 08 0a 00 ff").data[4:] == CONTROL


def test_one_bad_page_changes_nothing(made: Bench, initiator: Initiator) -> None:
    bad = bytearray(control())
    bad[3] ^= 0x10
    assert select(initiator, control(d_sense=True) + bytes(bad)) == INVALID_PARAMETER
    assert not made.lus[0].descriptor_sense


def test_two_times_the_same_page_the_last_counts(made: Bench, initiator: Initiator) -> None:
    assert select(initiator, control(d_sense=True) + control(tas=False)) == (0, 0, 0)
    assert not made.lus[0].descriptor_sense
    assert not made.lus[0].task_aborted_status


def test_the_field_pointer_names_the_bit(initiator: Initiator) -> None:
    bad = bytearray(control())
    bad[3] ^= 0x10
    result = initiator.execute("15 10 00 00 10", bytes(4) + bytes(bad))
    assert result.sense.field == FieldPointer(7, 4, False)


@pytest.mark.parametrize("length", range(1, 16))
def test_truncated_at_every_byte(initiator: Initiator, length: int) -> None:
    data = (bytes(4) + control())[:length]
    expected = (0, 0, 0) if length == 4 else LENGTH_ERROR
    assert initiator.execute(bytes((0x15, 0x10, 0, 0, length, 0)), data).code == expected


def test_wrong_page_length(initiator: Initiator) -> None:
    assert select(initiator, b"\x0a\x09" + control()[2:11]) == INVALID_PARAMETER
    assert select(initiator, b"\x0a\x0b" + control()[2:] + b"\0") == INVALID_PARAMETER


def test_a_page_that_there_is_not(initiator: Initiator) -> None:
    assert select(initiator, b"\x1d\x02\0\0") == INVALID_PARAMETER


def test_a_block_descriptor_for_a_device_without_blocks(initiator: Initiator) -> None:
    assert select(initiator, bytes(8) + control(), header=b"\0\0\0\x08") == INVALID_PARAMETER


def test_less_data_than_announced(initiator: Initiator) -> None:
    assert initiator.execute("15 10 00 00 10", bytes(8)).code == LENGTH_ERROR
