"""libiscsi's conformance suite against our disks."""

from pathlib import Path

import pytest
from oracle import cu_score
from oracle.served import Served
from tgtcore_cow import Qcow2Image

_RESET_ATTENTION = (
    "SAM-5 6.3: a reset establishes a unit attention condition for every I_T nexus; the test expects none from TEST UNIT READY, "
    "which it repeats until that is gone, each time with [FAILED] in the log"
)

SUITE_ERRORS = {
    "GetLBAStatus.UnmapSingle": (
        "SBC-4, LBA status descriptor relationships: the first descriptor begins at the starting address of the CDB; the test "
        "asks from block i + 1 on and, where a physical block has eight logical ones, expects a descriptor that begins at i + 8 "
        "(Linux 6.1's own target does not offer the command)"
    ),
    "iSCSIdatasn.iSCSIDataSnInvalid": (
        "RFC 7143 7.1.5, 7.9: at ErrorRecoveryLevel 0 a DataSN out of order ends the session; the suite logs in again, agrees on "
        "immediate data, and then expects a WRITE to fail that has no Data-Out PDU whose DataSN it could have falsified (Linux "
        "6.1's own target fails at the same assertion)"
    ),
    "PreventAllow.ColdReset": _RESET_ATTENTION,
    "PreventAllow.LUNReset": _RESET_ATTENTION,
    "PreventAllow.WarmReset": _RESET_ATTENTION,
    "PreventAllow.Eject": (
        "SPC-5, PREVENT ALLOW MEDIUM REMOVAL: it prevents that a medium is removed; the test expects that it prevents loading too"
    ),
    "StartStopUnit.NoLoej": (
        "SBC-4 5.31: START zero puts the unit into the stopped power condition, in which TEST UNIT READY is answered INITIALIZING "
        "COMMAND REQUIRED; the test expects GOOD"
    ),
    "StartStopUnit.PwrCnd": "SBC-4 5.31: the test expects GOOD for reserved values of the POWER CONDITION field too",
}
"""Tests that fail by an error of the suite itself, and the clause of the standard that each contradicts."""

_LEAST_PASSED = 191

_LOG = """
Suite: Inquiry
  Test: Standard ...passed
  Test: BlockLimits ...
    [SKIPPED] not thin
passed
Suite: Read10
  Test: Simple ...    [FAILED] READ10 failed
FAILED
    1. test_read10.c:10  - CU_ASSERT_EQUAL(ret,0)
  Test: Flags ...FAILED
    1. test_read10.c:20  - CU_ASSERT_EQUAL(ret,0)
  Test: Noted ...    [FAILED] READ10 failed
passed
  Test: Last ...passed    [FAILED] PRIN command: failed with sense.
  Test: Cut ...
"""


def test_a_log_is_read_test_by_test() -> None:
    score = cu_score.read_log(_LOG)
    assert {name: outcome.column for name, outcome in score.outcomes.items()} == {
        "Inquiry.Standard": "passed",
        "Inquiry.BlockLimits": "skipped",
        "Read10.Simple": "failed",
        "Read10.Flags": "failed",
        "Read10.Noted": "failed",
        "Read10.Last": "passed",
        "Read10.Cut": "failed",
    }
    assert score.outcomes["Read10.Simple"].reason == "[FAILED] READ10 failed"
    assert score.outcomes["Read10.Flags"].reason == "1. test_read10.c:20  - CU_ASSERT_EQUAL(ret,0)"
    assert not score.ended


def failures(score: cu_score.Score) -> set[str]:
    """What failed, and not by an error of the suite."""
    assert score.ended, score.report()
    return set(score.names("failed")) - set(SUITE_ERRORS)


@pytest.mark.timeout(600)
def test_nothing_fails_on_a_thin_disk(tmp_path: Path) -> None:
    options = ("--size", "1G", "--portal", "127.0.0.1:0")
    with Served.disk(tmp_path, tmp_path / "disk.img", options=options) as served:
        score = cu_score.run(served.urls)
    assert failures(score) == set(), score.report()
    assert len(score.names("passed")) >= _LEAST_PASSED, score.report()


@pytest.mark.timeout(600)
def test_nothing_fails_on_a_qcow2_disk(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    with Served.qcow2(tmp_path, image, size="1G", portals=2) as served:
        score = cu_score.run(served.urls)
    assert failures(score) == set(), score.report()
    assert len(score.names("passed")) >= _LEAST_PASSED, score.report()
    assert Qcow2Image.check(image).clean


@pytest.mark.timeout(600)
def test_nothing_fails_on_an_overlay(tmp_path: Path) -> None:
    golden = tmp_path / "golden.img"
    with golden.open("wb") as file:
        file.truncate(1 << 30)
    with Served.overlay(tmp_path, golden, data="memory") as served:
        score = cu_score.run(served.urls)
    assert failures(score) == set(), score.report()
    assert len(score.names("passed")) >= _LEAST_PASSED, score.report()
    assert golden.stat().st_blocks == 0, "it was written to"


@pytest.mark.timeout(120)
def test_nothing_fails_on_a_removable_disk(tmp_path: Path) -> None:
    with Served.disk(tmp_path, tmp_path / "disk.img", options=("--size", "64M", "--removable")) as served:
        scores = {family: cu_score.run([served.url], f"SCSI.{family}", 60) for family in _REMOVABLE}
    for family, fewest in _REMOVABLE.items():
        assert failures(scores[family]) == set(), scores[family].report()
        assert len(scores[family].names("passed")) >= fewest, scores[family].report()


_REMOVABLE = {"PreventAllow": 4, "StartStopUnit": 1, "NoMedia": 1}
"""The families that need a removable medium, and how many of their tests pass."""


def test_nothing_fails_on_a_read_only_disk(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    with Served.disk(tmp_path, image, options=("--read-only",)) as served:
        score = cu_score.run([served.url], "SCSI.ReadOnly")
    assert failures(score) == set(), score.report()
    # after every WRITE and WRITE SAME was refused as it must be, the last command of the test is one that is not offered here
    assert score.outcomes["ReadOnly.ReadOnlySBC"].reason == "[SKIPPED] UNMAP is not implemented.", score.report()


def test_nothing_fails_where_a_physical_block_is_one_logical_block(tmp_path: Path) -> None:
    with Served.disk(tmp_path, tmp_path / "disk.img", options=("--size", "64M", "--block-size", "4096")) as served:
        score = cu_score.run([served.url], "SCSI.GetLBAStatus")
    assert score.names("failed") == [], score.report()
    assert len(score.names("passed")) == 3, score.report()
