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
_STUCK = """\
[   78.068064] watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [dd:238]
[   78.068737] Modules linked in: virtio_net net_failover failover virtio_console virtio_pci virtio virtio_ring
[   78.069240] CPU: 0 PID: 238 Comm: dd Tainted: G             L     6.1.0-56-amd64 #1  Debian 6.1.192-2
[   78.069320] Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2-debian-1.16.2-1 04/01/2014
[   78.069399] RIP: 0010:do_exit+0x240/0xb10
[   78.070055] Code: fe ff ff 8b 05 bd 0d 01 00 85 c0 75 b5 8b 05 af 0d 01 00 85 c0 75 ab 48 8b 84 24 88 00 00 00
[   78.070184] RSP: 0018:ffffc900005d3bb8 EFLAGS: 00000292
[   78.070216] RAX: 0000000000000000 RBX: ffff8880060b3080 RCX: 00000000000001b0
[   78.070226] RDX: ffff8880060b3aa0 RSI: 0000000000000001 RDI: ffff8880060b3080
[   78.070233] RBP: 0000000000000001 R08: 0000000000000070 R09: ffff888027fca308
[   78.070240] R10: ffff888027fca3f0 R11: 0000000000000000 R12: 0000000000000000
[   78.070248] R13: ffff8880060ab901 R14: 0000000000000000 R15: 0000000000000000
[   78.070299] FS:  00007f7838538740(0000) GS:ffff888024e00000(0000) knlGS:0000000000000000
[   78.070316] CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
[   78.070324] CR2: 00007f78385be180 CR3: 000000000608a000 CR4: 00000000000006f0
[   78.070455] Call Trace:
[   78.070819]  <TASK>
[   78.071048]  do_group_exit+0x2d/0x80
"""
_OWN_FAULT = """\
[  113.451557] ------------[ cut here ]------------
[  113.451620] workqueue: WQ_MEM_RECLAIM iscsi_ctrl_0:7:__iscsi_unbind_session [scsi_transport_iscsi] is flushing !WQ_MEM_RECLAIM \
pm:pm_runtime_work
[  113.453670] WARNING: CPU: 0 PID: 27 at kernel/workqueue.c:2635 check_flush_dependency.part.0+0xb4/0x100
[  113.454615] CPU: 0 PID: 27 Comm: kworker/u2:2 Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2
[  113.454867] Workqueue: iscsi_ctrl_0:7 __iscsi_unbind_session [scsi_transport_iscsi]
[  113.455005] RIP: 0010:check_flush_dependency.part.0+0xb4/0x100
[  113.455621] Call Trace:
[  113.456182]  <TASK>
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


def test_a_reason_is_found_in_front_of_the_registers() -> None:
    assert complaints(_STUCK, ["BUG"]) == [_STUCK.rstrip()]


def test_a_stack_without_a_reason_is_shown_as_it_is() -> None:
    log = "".join(_CORRUPT.splitlines(keepends=True)[2:])
    assert complaints(log, [".*"]) == ["\n".join(log.splitlines()[1:])]


def test_a_kernel_that_hangs_complains() -> None:
    hangs = "[   83.201390] INFO: task kworker/u2:1:20 blocked for more than 20 seconds."
    assert complaints(hangs, ["I/O error"]) == [hangs]


def test_what_is_the_kernels_own_fault_is_no_complaint() -> None:
    assert complaints(_OWN_FAULT, []) == []
    assert complaints(_OWN_FAULT + _CORRUPT, ["XFS"]) == [_CORRUPT.rstrip()]
    other = _OWN_FAULT.replace("pm_runtime_work", "another")
    assert complaints(other, []) == ["\n".join(other.splitlines()[1:])]
