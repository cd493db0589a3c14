import pytest

from tgtcore.scsi.rsoc import SupportedCommand, all_commands_data, not_supported_data, supported_tmfs_data

READ_10 = SupportedCommand(0x28, None, bytes.fromhex("281affffffff3fffff00"), 30)
READ_CAPACITY_16 = SupportedCommand(0x9E, 0x10, bytes.fromhex("9e10" + "00" * 8 + "ffffffff" + "0000"), 60)


def test_all_commands_without_timeouts() -> None:
    data = all_commands_data([READ_10, READ_CAPACITY_16], timeouts=False)
    assert data.hex() == "00000010" + "280000000000000a" + "9e00001000010010"


def test_all_commands_with_timeouts() -> None:
    data = all_commands_data([READ_10], timeouts=True)
    assert data.hex() == "00000014" + "280000000002000a" + "000a" + "0000" + "00000000" + "0000001e"


def test_one_command() -> None:
    assert READ_10.one(timeouts=False).hex() == "0003000a" + READ_10.usage.hex()
    assert READ_10.one(timeouts=True).hex() == "0083000a" + READ_10.usage.hex() + "000a0000" + "00000000" + "0000001e"


def test_a_command_that_is_not_there() -> None:
    assert not_supported_data().hex() == "00010000"


@pytest.mark.parametrize(("extended", "expected"), [(False, "d8070000"), (True, "d807000c" + "00" * 12)])
def test_task_management_functions(extended: bool, expected: str) -> None:
    assert supported_tmfs_data(0xD8, 0x07, extended=extended).hex() == expected
