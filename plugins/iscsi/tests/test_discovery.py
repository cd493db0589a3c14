"""Which targets SendTargets tells of, in which kind of session."""

from collections.abc import Iterable

import pytest
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.discovery import TargetRecord, encode_records, send_targets
from tgtcore_iscsi.text import parse_pairs

PORTALS = ((Address("10.0.0.1", 3260), 1), (Address("fd00::1", 3261), 2))
DISK, TAPE = "iqn.2004-01.com.example:disk", "iqn.2004-01.com.example:tape"
RECORDS = [TargetRecord(DISK, PORTALS), TargetRecord(TAPE, PORTALS[:1])]


def find(name: str) -> Iterable[TargetRecord]:
    return [record for record in RECORDS if name in ("", record.name)]


@pytest.mark.parametrize(
    ("value", "session_target", "names"),
    [
        ("All", "", [DISK, TAPE]),
        (DISK, "", [DISK]),
        (DISK.upper(), "", [DISK]),
        (DISK + "2", "", []),
        ("", DISK, [DISK]),
        (DISK, DISK, [DISK]),
        # not to be asked
        ("", "", None),
        ("All", DISK, None),
        (TAPE, DISK, None),
        ("all", "", None),
        ("%n%n%s", "", None),
        ("iqn." + "x" * 220, "", None),
    ],
)
def test_who_may_ask_what(value: str, session_target: str, names: list[str] | None) -> None:
    records = send_targets(value, find, session_target)
    assert (None if records is None else [record.name for record in records]) == names


def test_each_target_is_followed_by_its_portals() -> None:
    assert parse_pairs(b"".join(encode_records(RECORDS))) == [
        ("TargetName", DISK),
        ("TargetAddress", "10.0.0.1:3260,1"),
        ("TargetAddress", "[fd00::1]:3261,2"),
        ("TargetName", TAPE),
        ("TargetAddress", "10.0.0.1:3260,1"),
    ]


def test_a_target_without_portals_is_named_alone() -> None:
    assert parse_pairs(b"".join(encode_records([TargetRecord(DISK, ())]))) == [("TargetName", DISK)]
