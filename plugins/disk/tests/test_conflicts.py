"""What reservations do to every command of a disk: SPC-5 table 63 and SBC-4 table 13, written down once more by hand."""

import pytest
from tgtcore_disk import DiskOptions

from tgtcore.scsi.persistent import ReservationType
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator

REGISTER, RESERVE = 0, 1
KEY = 7

ALLOWED = {
    "TEST UNIT READY": "00",
    "REQUEST SENSE": "03 00 00 00 12",
    "INQUIRY": "12 00 00 00 24",
    "START STOP UNIT, start": "1b 00 00 00 01",
    "PREVENT ALLOW MEDIUM REMOVAL, allow": "1e",
    "READ CAPACITY (10)": "25",
    "LOG SENSE": "4d 00 40 00 00 00 00 00 ff",
    "PERSISTENT RESERVE IN, keys": "5e 00 00 00 00 00 00 00 ff",
    "PERSISTENT RESERVE IN, reservation": "5e 01 00 00 00 00 00 00 ff",
    "PERSISTENT RESERVE IN, capabilities": "5e 02 00 00 00 00 00 00 ff",
    "PERSISTENT RESERVE IN, full status": "5e 03 00 00 00 00 00 00 ff",
    "READ CAPACITY (16)": "9e 10 0000000000000000 00000020",
    "REPORT LUNS": "a0 00 00 00 00 00 00000100",
    "REPORT TARGET PORT GROUPS": "a3 0a 00 00 00 00 00000100",
}
READING = {
    "READ (6)": "08 00 00 00 01",
    "READ (10)": "28 00 00000000 00 0001",
    "READ (12)": "a8 00 00000000 00000001",
    "READ (16)": "88 00 0000000000000000 00000001",
    "VERIFY (10)": "2f 00 00000000 00 0001",
    "VERIFY (12)": "af 00 00000000 00000001",
    "VERIFY (16)": "8f 00 0000000000000000 00000001",
    "PRE-FETCH (10)": "34 00 00000000 00 0001",
    "PRE-FETCH (16)": "90 00 0000000000000000 00000001",
    "MODE SENSE (6)": "1a 00 3f 00 ff",
    "MODE SENSE (10)": "5a 00 3f 00 00 00 00 00 ff",
    "READ DEFECT DATA (10)": "37 00 1d 00 00 00 00 00 08",
    "READ DEFECT DATA (12)": "b7 1d 00 00 00 00 00000008",
    "GET LBA STATUS": "9e 12 0000000000000000 00000020",
    "REPORT SUPPORTED OPERATION CODES": "a3 0c 00 00 00 00 00000100",
    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS": "a3 0d 00 00 00 00 00000100",
}
WRITING = {
    "FORMAT UNIT": "04",
    "WRITE (6)": "0a 00 00 00 01",
    "WRITE (10)": "2a 00 00000000 00 0001",
    "WRITE (12)": "aa 00 00000000 00000001",
    "WRITE (16)": "8a 00 0000000000000000 00000001",
    "WRITE AND VERIFY (10)": "2e 00 00000000 00 0001",
    "WRITE AND VERIFY (12)": "ae 00 00000000 00000001",
    "WRITE AND VERIFY (16)": "8e 00 0000000000000000 00000001",
    "WRITE SAME (10)": "41 00 00000000 00 0001",
    "WRITE SAME (16)": "93 01 0000000000000000 00000001",
    "UNMAP": "42",
    "COMPARE AND WRITE": "89 00 0000000000000000 00 00 00 00",
    "ORWRITE (16)": "8b 00 0000000000000000 00000000",
    "SYNCHRONIZE CACHE (10)": "35",
    "SYNCHRONIZE CACHE (16)": "91",
    "MODE SELECT (6)": "15 10",
    "MODE SELECT (10)": "55 10",
    "SEND DIAGNOSTIC": "1d 04",
    "START STOP UNIT, stop": "1b",
    "PREVENT ALLOW MEDIUM REMOVAL, prevent": "1e 00 00 00 01",
}
EXCLUSIVE = {
    ReservationType.EXCLUSIVE_ACCESS,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
}
FOR_THE_HOLDER_ALONE = {ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS}
HAS_RULES_OF_ITS_OWN = {0x16, 0x17, 0x56, 0x57, 0x5F}
"""RESERVE, RELEASE and PERSISTENT RESERVE OUT."""


def reserve_out(initiator: Initiator, action: int, kind: int = 0, key: int = 0, new: int = 0) -> None:
    data = key.to_bytes(8, "big") + new.to_bytes(8, "big") + bytes(8)
    assert initiator.execute(bytes((0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0)), data).status is Status.GOOD


def refused(initiator: Initiator, commands: dict[str, str]) -> set[str]:
    return {name for name, cdb in commands.items() if initiator.execute(cdb).status is Status.RESERVATION_CONFLICT}


@pytest.fixture
def options() -> DiskOptions:
    return DiskOptions(removable=True)


@pytest.mark.parametrize("kind", ReservationType)
def test_persistent_reservations(made: Bench, initiator: Initiator, other: Initiator, kind: ReservationType) -> None:
    registrant = made.initiator("iqn.2025-01.example:registrant")
    for who in (initiator, registrant):
        reserve_out(who, REGISTER, new=KEY)
    reserve_out(initiator, RESERVE, kind, key=KEY)
    kept_out = [other, *([registrant] if kind in FOR_THE_HOLDER_ALONE else [])]
    for who in (initiator, registrant, other):
        expected = set(WRITING) | (set(READING) if kind in EXCLUSIVE else set()) if who in kept_out else set()
        assert refused(who, ALLOWED | READING | WRITING) == expected


def test_reserve(initiator: Initiator, other: Initiator) -> None:
    assert initiator.execute("16").status is Status.GOOD
    assert (
        refused(initiator, {n: c for n, c in (ALLOWED | READING | WRITING).items() if "PERSISTENT" not in n}) == set()
    )
    assert refused(other, READING | WRITING) == set(READING) | set(WRITING)
    allowed = {"REQUEST SENSE", "INQUIRY", "PREVENT ALLOW MEDIUM REMOVAL, allow", "LOG SENSE", "REPORT LUNS"}
    allowed.add("REPORT TARGET PORT GROUPS")
    assert refused(other, ALLOWED) == set(ALLOWED) - allowed
    assert other.execute("17").status is Status.GOOD
    assert other.execute("00").status is Status.RESERVATION_CONFLICT
    assert initiator.execute("17").status is Status.GOOD
    assert refused(other, ALLOWED | READING | WRITING) == set()


def test_no_command_is_forgotten_here(made: Bench) -> None:
    listed = {bytes.fromhex(cdb)[0] for cdb in (ALLOWED | READING | WRITING).values()}
    assert {bound.command.opcode for bound in made.lus[0].commands} - listed == HAS_RULES_OF_ITS_OWN
