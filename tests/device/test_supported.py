import pytest

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Initiator

INVALID_CDB = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)


def ask(initiator: Initiator, options: int, opcode: int, action: int = 0) -> bytes:
    return initiator.execute(bytes((0xA3, 0x0C, options, opcode, 0, action, 0, 0, 0xFF, 0xFF, 0, 0))).data


def test_one_command_with_its_usage_data(initiator: Initiator) -> None:
    assert ask(initiator, 1, 0x12) == bytes.fromhex("00 03 0006 12 01 ff ff ff 00")


def test_one_command_with_timeouts(initiator: Initiator) -> None:
    assert ask(initiator, 0x81, 0x12) == bytes.fromhex("00 83 0006 12 01 ff ff ff 00") + bytes.fromhex(
        "000a 0000 00000000 0000001e"
    )


def test_a_command_that_there_is_not(initiator: Initiator) -> None:
    assert ask(initiator, 1, 0x28) == bytes.fromhex("00 01 0000")
    assert ask(initiator, 2, 0xA3, 0x1F) == bytes.fromhex("00 01 0000")
    assert ask(initiator, 3, 0x12, 5) == bytes.fromhex("00 01 0000")


def test_opcode_or_service_action(initiator: Initiator) -> None:
    assert ask(initiator, 3, 0x12) == ask(initiator, 1, 0x12)
    assert ask(initiator, 3, 0xA3, 0x0C) == ask(initiator, 2, 0xA3, 0x0C)


@pytest.mark.parametrize(("options", "opcode"), [(1, 0xA3), (2, 0x12), (4, 0x12), (7, 0x12)])
def test_a_question_that_does_not_fit_the_opcode(initiator: Initiator, options: int, opcode: int) -> None:
    cdb = bytes((0xA3, 0x0C, options, opcode, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0))
    assert initiator.execute(cdb).code == INVALID_CDB


def test_all_commands_with_timeouts(initiator: Initiator) -> None:
    data = initiator.execute("a3 0c 80 00 00 00 0000ffff").data
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert (len(data) - 4) % 20 == 0
    assert data[4:24] == bytes.fromhex("00 00 0000 00 02 0006 000a 0000 00000000 0000001e")


def test_task_management_functions(initiator: Initiator) -> None:
    assert initiator.execute("a3 0d 00 00 00 00 000000ff").data == bytes.fromhex("de 07 00 00")
    extended = initiator.execute("a3 0d 80 00 00 00 000000ff").data
    assert extended[:4] == bytes.fromhex("de 07 00 0c")
    assert len(extended) == 16
    assert initiator.execute("a3 0d 00 00 00 00 00000003").code == INVALID_CDB
