"""What the guest's driver of virtual SCSI finds, reads and writes, and what it does when commands or queues are lost."""

import signal
from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.lab.verified import VerifiedWriter
from guest.pseries.disks import DEVICES, TARGET, VirtualDisks

_READ_AHEAD = r"op 0x0:\(READ\) flags 0x80700"
"""Of what was read ahead: the kernel tries that once only, and nobody waits for it."""
_LOST = f"Power-on|Sense Key|{_READ_AHEAD}"
_GAVE_UP = "error after reset"
_LOST_ADAPTER = "Virtual adapter failed"
_MOVED = "Re-enabling adapter"
_FOLDER = "/mnt/d"


@pytest.fixture(scope="module")
def folder(guest: Guest, disks: VirtualDisks) -> Iterator[str]:
    """A file system on the first disk."""
    disk = disks["0:0:0"]
    guest.run(f"mkfs.ext4 -q -F {disk} && mount -t ext4 {disk} {_FOLDER}", timeout_s=100)
    yield _FOLDER
    guest.run(f"umount {_FOLDER} && e2fsck -f -n {disk}", timeout_s=100)


def test_several_targets_and_luns_are_found(guest: Guest, disks: VirtualDisks) -> None:
    found = guest.text("ls /sys/bus/scsi/devices | sed -n 's/^[0-9]*:\\([0-9:]*\\)$/\\1/p'").split()
    assert sorted(found) == sorted(DEVICES)
    sizes = [int(guest.text(f"blockdev --getsize64 {disks[device]}")) for device in DEVICES]
    assert sizes == [64 << 20, 8 << 20, 4 << 20]
    assert "Lun list length = 16 " in guest.text(f"sg_luns $(generic {disks['0:0:0']})")
    assert "Lun list length = 8 " in guest.text(f"sg_luns $(generic {disks['0:1:0']})")


def test_each_side_knows_the_other(guest: Guest, disks: VirtualDisks) -> None:
    host = guest.text("cat /sys/class/scsi_host/host*/partition_name /sys/class/scsi_host/host*/srp_version").split()
    assert host == ["tgtcore", "16.a"]
    (session,) = disks.daemon.admin("session", "list")
    assert session["target"] == TARGET


@pytest.mark.parametrize(("bytes_", "count"), [(512, 5), (4096, 10), (65536, 4), (1 << 20, 3)])
def test_transfers_of_every_size_come_back(guest: Guest, disks: VirtualDisks, bytes_: int, count: int) -> None:
    disk = disks["0:0:1"]
    block = f"bs={bytes_} count={count}"
    guest.run(
        f"""
        dd if=/dev/urandom of=/tmp/data {block} && dd if=/tmp/data of={disk} {block} oflag=direct &&
        dd if={disk} of=/tmp/back {block} iflag=direct && cmp /tmp/data /tmp/back
        """,
        timeout_s=100,
    )


def test_a_file_system_and_verified_io(guest: Guest, folder: str) -> None:
    with VerifiedWriter(guest, folder) as writer:
        assert writer.rounds >= 3
    assert "correlation_token" not in guest.text("dmesg"), "the driver was sent what it did not ask for"


@pytest.mark.provokes(_LOST)
def test_a_logical_unit_is_reset_under_io(guest: Guest, disks: VirtualDisks, folder: str) -> None:
    with VerifiedWriter(guest, folder) as writer:
        guest.run(f"sg_reset -d $(generic {disks['0:0:0']})")
        writer.wait_progress()


@pytest.mark.provokes(f"{_LOST}|aborting command")
def test_a_command_that_is_not_answered_is_aborted_and_tried_again(guest: Guest, disks: VirtualDisks) -> None:
    disk, name = disks["0:1:0"], disks["0:1:0"].removeprefix("/dev/")
    disks.daemon.admin("filter", "add", "third", "black-hole", "commands=reads", "count=1")
    guest.run(f"echo 2 >/sys/block/{name}/device/timeout")
    guest.run(f"dd if={disk} of=/dev/null bs=4k count=1 iflag=direct", timeout_s=100)
    disks.daemon.admin("filter", "remove", "third", "black-hole")
    assert "successfully aborted task tag" in guest.text("dmesg")


@pytest.mark.provokes(_LOST)
def test_the_client_makes_a_new_queue_under_io(guest: Guest, disks: VirtualDisks, folder: str) -> None:
    with VerifiedWriter(guest, folder) as writer:
        guest.run(f"sg_reset -H $(generic {disks['0:0:0']})", timeout_s=100)
        writer.wait_progress(timeout_s=100)


@pytest.mark.provokes(_LOST)
def test_the_server_ends_the_session_under_io(guest: Guest, disks: VirtualDisks, folder: str) -> None:
    with VerifiedWriter(guest, folder) as writer:
        (before,) = disks.daemon.admin("session", "list")
        disks.daemon.admin("session", "remove", before["id"], "--transport", "ibmvio")
        writer.wait_progress(timeout_s=100)
        (after,) = disks.daemon.admin("session", "list")
    assert after["id"] == before["id"]
    assert _LOST_ADAPTER in guest.text("dmesg")


@pytest.mark.provokes(_LOST)
def test_what_becomes_of_the_daemon_under_io_costs_no_io(guest: Guest, disks: VirtualDisks, folder: str) -> None:
    """It is reconfigured, stopped, killed, and its target drained, beside one writer, for that takes long to begin and to end."""
    with VerifiedWriter(guest, folder) as writer:
        _change_the_configuration(disks)
        writer.wait_progress(1)
        assert _count(guest, _LOST_ADAPTER) == 0, "the guest takes no notice"

        for in_order in (True, False):
            disks.restart(in_order=in_order)
            writer.wait_progress(1, timeout_s=100)

        lost = _count(guest, _LOST_ADAPTER)
        disks.daemon.admin("target", "drain", TARGET, "--deadline", "1")
        assert disks.state() == ("takes no logins", 0, 0)
        guest.run(f"within 60 sh -c '[ $(dmesg | grep -c \"{_LOST_ADAPTER}\") -gt {lost} ]'", timeout_s=100)
        verified = writer.rounds
        guest.run("sleep 1")
        assert writer.rounds <= verified + 1, "it can't write"
        disks.daemon.admin("target", "reopen", TARGET)
        writer.wait_progress(1, timeout_s=100)
    assert _count(guest, _GAVE_UP) == 0


def _change_the_configuration(disks: VirtualDisks) -> None:
    """By a signal and by command."""
    disks.change(
        'size = "4M" }',
        'size = "4M" }\n[logical_units.fourth]\ndevice_type = "disk"\nstore = { type = "memory", size = "1M" }',
    )
    disks.daemon.process.send_signal(signal.SIGHUP)
    disks.wait_for_unit("fourth")
    disks.change("credits = 32", 'credits = 16\ntransfer_max = "512K"')
    disks.daemon.admin("apply", str(disks.daemon.configuration))


@pytest.mark.provokes(_LOST)
def test_the_guest_migrates_and_is_suspended_under_io(guest: Guest, disks: VirtualDisks, folder: str) -> None:
    """As before; in between, the guest hears of suspensions too, which are for servers, and its driver begins again."""
    with VerifiedWriter(guest, folder) as writer:
        disks.console("migrate")
        writer.wait_progress(1, timeout_s=100)
        assert _count(guest, _MOVED) == 1

        _prepare_for_suspend(disks)
        assert disks.state()[0] == "suspended"
        verified = writer.rounds
        guest.run("sleep 1")
        assert writer.rounds <= verified + 1, "its requests have to wait"
        disks.console("resume")
        writer.wait_progress(1)
        assert _count(guest, _LOST_ADAPTER) == 0, "the guest takes no notice"

        _prepare_for_suspend(disks)
        disks.console("migrate")
        disks.console("resume")
        writer.wait_progress(1, timeout_s=100)
        assert _count(guest, _MOVED) == 2

        for event in (9, 10):
            disks.console("event", f"event={event}")
        writer.wait_progress(1, timeout_s=100)
        assert _count(guest, _LOST_ADAPTER) == 2
    assert _count(guest, _GAVE_UP) == 0


def _prepare_for_suspend(disks: VirtualDisks) -> None:
    disks.console("prepare_for_suspend")
    disks.wait_until_suspendable()


def _count(guest: Guest, message: str) -> int:
    """How often the kernel has said something in this test."""
    return guest.text("dmesg").count(message)


@pytest.mark.provokes(f"{_LOST}|I/O error|rejecting I/O")
def test_a_logical_unit_is_removed_under_io_and_the_others_go_on(
    guest: Guest, disks: VirtualDisks, folder: str
) -> None:
    lost = disks["0:0:1"]
    with VerifiedWriter(guest, folder) as writer:
        guest.run(f"(while dd if={lost} of=/dev/null bs=4k count=8 iflag=direct; do :; done) >/dev/null 2>&1 &")
        disks.daemon.admin("lu", "remove", "second", "--unmap")
        guest.run("within 60 sh -c '! pgrep -f bs=4k.count=8'", timeout_s=100)
        writer.wait_progress()
