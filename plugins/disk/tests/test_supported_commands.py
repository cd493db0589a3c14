"""What REPORT SUPPORTED OPERATION CODES says of a disk, against a list that a person has read (supported_commands.txt)."""

from pathlib import Path

import pytest
from tgtcore_disk import DiskOptions

from tgtcore.scsi.cdb import command_name
from tgtcore.testing.initiator import Initiator

LIST = Path(__file__).with_name("supported_commands.txt")
ALL_WITH_TIMEOUTS, ONE_WITH_TIMEOUTS = 0x80, 0x83
DESCRIPTOR_BYTES = 20
SERVACTV, CTDP_ONE = 0x01, 0x80

Key = tuple[int, int | None]


def ask(initiator: Initiator, what: int, opcode: int = 0, action: int = 0) -> bytes:
    """REPORT SUPPORTED OPERATION CODES."""
    return initiator.execute(bytes((0xA3, 0x0C, what, opcode)) + action.to_bytes(2, "big") + b"\0\0\xff\xff\0\0").data


def reported(initiator: Initiator) -> dict[Key, int]:
    """Every command's timeout in seconds."""
    data = ask(initiator, ALL_WITH_TIMEOUTS)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    commands: dict[Key, int] = {}
    for at in range(4, len(data), DESCRIPTOR_BYTES):
        descriptor = data[at : at + DESCRIPTOR_BYTES]
        action = int.from_bytes(descriptor[2:4], "big") if descriptor[5] & SERVACTV else None
        commands[descriptor[0], action] = int.from_bytes(descriptor[16:], "big")
    return commands


def lines(initiator: Initiator) -> list[str]:
    """A line for each command: usage data, timeout, name."""
    found = []
    for (opcode, action), timeout_s in reported(initiator).items():
        data = ask(initiator, ONE_WITH_TIMEOUTS, opcode, action or 0)
        length = int.from_bytes(data[2:4], "big")
        usage = data[4 : 4 + length]
        assert data[1] & CTDP_ONE
        assert int.from_bytes(data[-4:], "big") == timeout_s
        cdb = bytearray(length)
        cdb[0], cdb[1] = opcode, action or 0
        found.append(f"{usage.hex(' ').upper():<47} {timeout_s:>5} s  {command_name(bytes(cdb))}")
    return found


@pytest.mark.parametrize("options", [DiskOptions(removable=True)])
def test_the_list_is_the_one_that_was_read(initiator: Initiator, options: DiskOptions) -> None:
    expected = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    assert lines(initiator) == expected


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        (DiskOptions(), {(0x1E, None)}),
        (DiskOptions(removable=True, thin=False), {(0x42, None), (0x9E, 0x12)}),
    ],
)
def test_what_a_disk_cannot_do_is_not_listed(initiator: Initiator, options: DiskOptions, absent: set[Key]) -> None:
    everything = len([line for line in LIST.read_text().splitlines() if not line.startswith("#")])
    commands = set(reported(initiator))
    assert not commands & absent
    assert len(commands) == everything - len(absent)
