import pytest

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Bench, Initiator


def cdb(opcode: int, asked: int, room: int) -> bytes:
    if opcode == 0x37:
        return bytes((0x37, 0, asked, 0, 0, 0, 0)) + room.to_bytes(2, "big") + b"\0"
    return bytes((0xB7, asked)) + bytes(4) + room.to_bytes(4, "big") + bytes(2)


@pytest.mark.parametrize("defect_format", range(7))
@pytest.mark.parametrize("lists", [0x00, 0x08, 0x10, 0x18])
def test_the_lists_are_there_and_empty(initiator: Initiator, lists: int, defect_format: int) -> None:
    asked = lists | defect_format
    assert initiator.execute(cdb(0x37, asked, 255)).data == bytes((0, asked, 0, 0))
    assert initiator.execute(cdb(0xB7, asked, 255)).data == bytes((0, asked, 0, 0, 0, 0, 0, 0))


def test_a_list_from_the_middle_is_empty_too(initiator: Initiator) -> None:
    assert initiator.execute("b7 08 ffffffff 000000ff").data == bytes((0, 8, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("opcode", [0x37, 0xB7])
def test_no_more_than_there_is_room_for(initiator: Initiator, opcode: int) -> None:
    assert initiator.execute(cdb(opcode, 0x18, 3)).data == bytes((0, 0x18, 0))
    assert initiator.execute(cdb(opcode, 0x18, 0)).data == b""


@pytest.mark.parametrize(("opcode", "byte"), [(0x37, 2), (0xB7, 1)])
def test_the_reserved_format_is_refused(initiator: Initiator, opcode: int, byte: int) -> None:
    result = initiator.execute(cdb(opcode, 0x1F, 255))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
    assert result.sense.field is not None
    assert result.sense.field[:2] == (byte, 2)


@pytest.mark.parametrize("opcode", [0x37, 0xB7])
def test_not_while_the_unit_is_offline(made: Bench, initiator: Initiator, opcode: int) -> None:
    made.lus[0].set_online(False)
    assert initiator.execute(cdb(opcode, 0x08, 255)).code == (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_OFFLINE)
