"""The judgement on a kernel's log; no guest is needed for it."""

import pytest
from guest.lab.kernel_log import complaints

_LOST = """\
[   61.101553] sd 0:0:0:0: rejecting I/O to offline device
[   61.105530] XFS (sda): log I/O error -5
"""
_CORRUPT = """\
[   61.201002] XFS (sda): Internal error ltbno + ltlen > bno at line 1955 of file fs/xfs/libxfs/xfs_alloc.c
[   61.201188] CPU: 0 PID: 412 Comm: dd Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2
[   61.201290] Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2-debian-1.16.2-1 04/01/2014
[   61.201390] Call Trace:
[   61.201401]  <TASK>
[   61.201409]  dump_stack_lvl+0x44/0x5c
"""


@pytest.fixture
def kernel_log() -> None:
    """There is no kernel."""


def test_a_kernel_that_says_nothing_unusual_complains_of_nothing() -> None:
    assert complaints("[    9.413004] XFS (sda): Ending clean mount\n", []) == []


def test_what_a_test_provokes_is_no_complaint() -> None:
    assert complaints(_LOST, [r"rejecting I/O", r"log I/O error"]) == []
    assert complaints(_LOST, [r"rejecting I/O"]) == ["[   61.105530] XFS (sda): log I/O error -5"]


def test_a_stack_is_always_a_complaint_and_shown_with_its_reason() -> None:
    assert complaints(_LOST + _CORRUPT, [r"I/O", "XFS"]) == [_CORRUPT.rstrip()]


def test_a_stack_without_a_reason_is_shown_as_it_is() -> None:
    log = "".join(_CORRUPT.splitlines(keepends=True)[2:])
    assert complaints(log, [".*"]) == ["\n".join(log.splitlines()[1:])]


def test_a_kernel_that_hangs_complains() -> None:
    hangs = "[   83.201390] INFO: task kworker/u2:1:20 blocked for more than 20 seconds."
    assert complaints(hangs, ["I/O error"]) == [hangs]
