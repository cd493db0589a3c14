"""What Linux's own front end finds, reads and writes, and what it does when commands, disks, HBAs or the daemon are lost."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from guest.lab.shell import Shell
from guest.lab.verified import VerifiedWriter
from guest.xen.daemon import XenDaemon
from guest.xen.disks import XenDisks
from guest.xen.reader import SlowReaders
from guest.xen.remains import Remains, remains
from guest.xen.ways import Way

from tgtcore import Tmf
from tgtcore.testing.waiting import until

_LOST = "Power-on|Sense Key"
_FOLDER, _SMALL = "/mnt/d", "/mnt/small"
_ROUNDS = int(os.environ.get("TGTCORE_XEN_ROUNDS", "50"))
_MAKE = "modprobe -a crc32c_generic ext4; mkfs.ext4 -q -F -b 4096"
"""Blocks of one page: Linux's front end counts pages of larger requests that begin within one, and has no room for the last
(``map_data_for_request``: "Unable to map request_buffer")."""


@pytest.fixture(scope="module")
def folder(guest: Shell, disks: XenDisks) -> Iterator[str]:
    """A file system on the first disk."""
    guest.run(f"{_MAKE} {disks[0]} && mount -t ext4 {disks[0]} {_FOLDER}", timeout_s=100)
    yield _FOLDER
    guest.run(f"umount {_FOLDER} && e2fsck -f -n {disks[0]}", timeout_s=100)


def test_several_luns_are_found(guest: Shell, disks: XenDisks) -> None:
    sizes = [int(guest.text(f"blockdev --getsize64 {disks[lun]}")) for lun in range(3)]
    assert sizes == [64 << 20, 8 << 20, 16 << 20]
    found = guest.text("ls /sys/bus/scsi/devices | sed -n 's/^[0-9]*:\\([0-9:]*\\)$/\\1/p'").split()
    assert sorted(found) == ["0:0:0", "0:0:1", "0:0:2"]
    assert "Lun list length = 24 " in guest.text(f"sg_luns $(generic {disks[0]})")


def test_each_side_knows_the_other(way: Way, daemon: XenDaemon, disks: XenDisks) -> None:
    (session,) = daemon.admin("session", "list")
    assert (session["target"], session["initiator"]) == (daemon.target, way.guest)
    assert daemon.figures["state"] == "connected"


@pytest.mark.parametrize(("lun", "bytes_", "count"), [(1, 512, 5), (1, 4096, 10), (2, 65536, 4), (1, 508 << 10, 3)])
def test_transfers_of_every_size_come_back(guest: Shell, disks: XenDisks, lun: int, bytes_: int, count: int) -> None:
    disk = disks[lun]
    block = f"bs={bytes_} count={count}"
    guest.run(
        f"""
        dd if=/dev/urandom of=/tmp/data {block} && dd if=/tmp/data of={disk} {block} oflag=direct &&
        dd if={disk} of=/tmp/back {block} iflag=direct && cmp /tmp/data /tmp/back
        """,
        timeout_s=100,
    )


def test_a_request_has_more_pages_than_fit_into_the_ring(guest: Shell, daemon: XenDaemon, disks: XenDisks) -> None:
    before = daemon.figures
    guest.run(f"dd if={disks[1]} of=/dev/null bs=508k count=2 iflag=direct")
    after = daemon.figures
    assert after["copied_segments"] - before["copied_segments"] >= 2 * 127
    assert after["requests"] - before["requests"] <= 4


def test_a_file_system_and_verified_io(guest: Shell, folder: str) -> None:
    with VerifiedWriter(guest, folder) as writer:
        assert writer.rounds >= 3


@pytest.mark.provokes(_LOST)
def test_a_logical_unit_is_reset_under_io(guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str) -> None:
    before = _functions(daemon)
    with VerifiedWriter(guest, folder) as writer:
        guest.run(f"sg_reset -d $(generic {disks[0]})")
        writer.wait_progress()
    assert _functions(daemon) - before == Counter({Tmf.LOGICAL_UNIT_RESET: 1})


@pytest.mark.provokes(f"{_LOST}|aborting command")
def test_a_command_that_is_not_answered_is_aborted_and_tried_again(
    guest: Shell, daemon: XenDaemon, disks: XenDisks
) -> None:
    """Linux would reset the disk if the abort did not help, and the command would be tried again too."""
    disk = disks[1]
    patience = f"/sys/block/{disk.removeprefix('/dev/')}/device/timeout"
    daemon.admin("filter", "add", "second", "black-hole", "commands=reads", "count=1")
    before, functions = daemon.figures, _functions(daemon)
    guest.run(f"echo 2 >{patience}")
    guest.run(f"dd if={disk} of=/dev/null bs=4k count=1 iflag=direct", timeout_s=100)
    guest.run(f"echo 30 >{patience}")
    daemon.admin("filter", "remove", "second", "black-hole")
    after = daemon.figures
    assert (after["functions"] - before["functions"], after["aborted"] - before["aborted"]) == (1, 1)
    assert _functions(daemon) - functions == Counter({Tmf.ABORT_TASK: 1})


def _functions(daemon: XenDaemon) -> Counter[Tmf]:
    """The task management functions in the log of the daemons."""
    log = daemon.log
    return Counter({function: log.count(f"{daemon.hba}: {function.value}") for function in Tmf})


@pytest.mark.provokes("Sense Key|capacity change")
def test_a_disk_grows_while_it_is_used(guest: Shell, daemon: XenDaemon, disks: XenDisks) -> None:
    disk = disks[1]
    daemon.admin("lu", "resize", "second", "12M")
    guest.run(f"echo 1 >/sys/block/{disk.removeprefix('/dev/')}/device/rescan")
    guest.run(f"within 10 sh -c '[ $(blockdev --getsize64 {disk}) = {12 << 20} ]'")


@pytest.mark.provokes(_LOST)
def test_a_lun_comes_and_goes_while_others_are_used(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    with VerifiedWriter(guest, folder) as writer:
        daemon.admin("lun", "add", daemon.target, "3", "spare")
        assert guest.text(f"blockdev --getsize64 {disks[3]}") == str(4 << 20)
        guest.run(f"dd if=/dev/urandom of={disks[3]} bs=64k count=4 oflag=direct")
        daemon.admin("lun", "remove", daemon.target, "3")
        disks.gone(3)
        writer.wait_progress()


@pytest.mark.provokes(_LOST)
def test_a_disk_with_short_transfers_may_have_a_file_system_of_small_blocks(
    guest: Shell, daemon: XenDaemon, disks: XenDisks
) -> None:
    """Pieces of a page and the rest of a request fit into the front end's table: see ``_MAKE``."""
    daemon.admin("lun", "add", daemon.target, "3", "spare")
    file = f"{_SMALL}/file"
    guest.run(
        f"""
        modprobe -a crc32c_generic ext4; mkfs.ext4 -q -F -b 1024 {disks[3]} && mkdir -p {_SMALL} &&
        mount -t ext4 {disks[3]} {_SMALL} && dd if=/dev/urandom of=/tmp/data bs=1k count=2049 &&
        dd if=/tmp/data of={file} bs=1025k conv=fsync && echo 3 >/proc/sys/vm/drop_caches && cmp /tmp/data {file} &&
        umount {_SMALL} && e2fsck -f -n {disks[3]}
        """,
        timeout_s=100,
    )
    daemon.admin("lun", "remove", daemon.target, "3")
    disks.gone(3)


@pytest.mark.provokes(f"{_LOST}|I/O error|rejecting I/O|Read Capacity|Mode Sense|Synchronize")
def test_a_logical_unit_is_removed_under_io_and_the_others_go_on(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    lost = disks[2]
    with VerifiedWriter(guest, folder) as writer:
        guest.run(f"(while dd if={lost} of=/dev/null bs=4k count=8 iflag=direct; do :; done) >/dev/null 2>&1 &")
        daemon.admin("lu", "remove", "third", "--unmap")
        guest.run("within 60 sh -c '! pgrep -f bs=4k.count=8'", timeout_s=100)
        disks.gone(2)
        writer.wait_progress()


@pytest.mark.provokes(_LOST)
def test_the_daemon_is_killed_under_io_and_no_command_fails(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    with VerifiedWriter(guest, folder) as writer, SlowReaders(guest, daemon, disks[1]) as readers:
        for _ in range(2):
            readers.wait_under_way()
            daemon.kill()
            daemon.start()
            _goes_on(daemon)
            writer.wait_progress()


@pytest.mark.isolated
@pytest.mark.provokes(_LOST)
def test_the_driver_process_is_killed_under_io_and_no_command_fails(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    with VerifiedWriter(guest, folder) as writer, SlowReaders(guest, daemon, disks[1]) as readers:
        for _ in range(3):
            readers.wait_under_way()
            daemon.kill_driver()
            _goes_on(daemon)
            writer.wait_progress()


@pytest.mark.timeout(600)
@pytest.mark.provokes(_LOST)
def test_a_daemon_takes_the_place_of_another_under_io_and_no_command_fails(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    """A read that does not end as long as the old daemon waits is repeated by the guest, and done by the new one."""
    found = guest.text("ls /sys/bus/scsi/devices")
    ring = daemon.ring
    with VerifiedWriter(guest, folder) as writer, SlowReaders(guest, daemon, disks[1]) as readers:
        for succeed in (daemon.take_over, daemon.upgrade):
            daemon.admin("filter", "add", "second", "black-hole", f"lba={_HELD_BLOCK * 8}")
            guest.run(_HELD.format(disk=disks[1], block=_HELD_BLOCK))
            until(lambda: daemon.admin("filter", "show", "second", "black-hole")["figures"]["held"])
            readers.wait_under_way()
            succeed()
            _goes_on(daemon)
            guest.run("within 60 test -s /tmp/held", timeout_s=100)
            assert guest.text("cat /tmp/held") == "0"
            writer.wait_progress()
            readers.wait_under_way()
    assert daemon.ring == ring
    assert daemon.figures["functions"] == 0
    assert guest.text("ls /sys/bus/scsi/devices") == found


_HELD_BLOCK = 1024
_HELD = """
rm -f /tmp/held
(dd if={disk} of=/dev/null bs=4k count=1 skip={block} iflag=direct; echo $? >/tmp/held) >/dev/null 2>&1 &
"""


def _goes_on(daemon: XenDaemon) -> None:
    """The daemon that serves now goes on where another one was, and knows of every request."""
    until(lambda: daemon.figures["state"] == "connected", what=lambda: daemon.figures)
    figures = daemon.figures
    assert (figures["sessions"], figures["lost"]) == (1, 0)


@pytest.mark.provokes(_LOST)
def test_disks_get_the_addresses_of_each_other_while_another_one_is_used(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    with VerifiedWriter(guest, folder) as writer:
        for devices, second, third in (('"0:0:0:0" = 0, "0:0:0:1" = 2, "0:0:0:2" = 1', 2, 1), ("", 1, 2)):
            daemon.configure(devices=devices)
            daemon.apply()
            disks.sized(second, 8 << 20)
            disks.sized(third, 16 << 20)
            writer.wait_progress()


@pytest.mark.provokes(f"{_LOST}|I/O error|rejecting I/O|Synchronize")
def test_an_hba_that_leads_elsewhere_takes_nothing_there_that_was_meant_for_another_disk(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    """Changed once while a daemon serves, and once while none does and the guest writes."""
    guest.run(f"umount {folder}")
    before = guest.text(f"md5sum <{disks[0]}")
    daemon.configure(target="other")
    daemon.apply()
    disks.sized(0, 4 << 20)
    disk = disks[0]
    daemon.stop()
    guest.run(f"(dd if=/dev/urandom of={disk} bs=64k count=1 oflag=direct; echo $? >/tmp/written) >/dev/null 2>&1 &")
    daemon.configure()
    daemon.start()
    disks.sized(0, 64 << 20)
    guest.run("within 60 test -e /tmp/written", timeout_s=100)
    assert guest.text("cat /tmp/written") != "0"
    assert guest.text(f"md5sum <{disks[0]}") == before
    guest.run(f"mount -t ext4 {disks[0]} {folder}")


@pytest.mark.provokes(f"{_LOST}|I/O error|rejecting I/O|Synchronize")
def test_a_session_is_removed_while_a_command_hangs_and_the_disks_come_again(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    guest.run(f"umount {folder}")
    daemon.admin("filter", "add", "second", "black-hole", "commands=reads", "count=1")
    before = daemon.figures["in_flight"]
    guest.run(f"(dd if={disks[1]} of=/dev/null bs=4k count=1 iflag=direct; echo $? >/tmp/hung) >/dev/null 2>&1 &")
    until(lambda: daemon.figures["in_flight"] > before)
    daemon.admin("session", "remove", daemon.hba, "--transport", "xen", "--force")
    guest.run("within 60 test -e /tmp/hung", timeout_s=100)
    assert guest.text("cat /tmp/hung") != "0"
    daemon.admin("filter", "remove", "second", "black-hole")
    for lun in range(3):
        disks.look(lun)
    guest.run(f"mount -t ext4 {disks[0]} {folder}")


def test_an_hba_by_another_name_of_its_guest_leads_to_a_disk_at_any_address(
    guest: Shell, daemon: XenDaemon, disks: XenDisks
) -> None:
    """The target has no LUN 0; the disk has more blocks than 32 bits count, and reads as zeros.  Domain 0 has no UUID."""
    shown = daemon.figures
    far = XenDisks(guest, target=5)
    beyond = (3 << 40) // (64 << 10)
    for name, initiator in ((shown["domid"], shown["guest"]), (shown["uuid"], shown["uuid"])):
        if name == "":
            continue
        daemon.admin("access", "set", "far", "--initiator", initiator)
        attached = daemon.admin("xen", "attach", f"hba={name}/1", "target=far")
        assert attached["domid"] == shown["domid"]
        disk = far[3]
        assert guest.text(f"blockdev --getsize64 {disk}") == str(4 << 40)
        guest.run(
            f"""
            dd if=/dev/urandom of={disk} bs=64k count=2 seek={beyond} oflag=direct &&
            dd if={disk} of=/tmp/read bs=64k count=2 skip={beyond} iflag=direct &&
            dd if=/dev/zero bs=64k count=2 | cmp - /tmp/read
            """
        )
        daemon.admin("xen", "detach", f"hba={name}/1")
        far.gone(3)


@pytest.mark.provokes(f"{_LOST}|Synchronize")
def test_a_front_end_that_is_unloaded_finds_its_disks_again(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    """Linux keeps the module as long as it has a device: that is taken from it first."""
    guest.run(f"umount {folder}")
    before = daemon.figures["sessions"]
    guest.run("echo vscsi-0 >/sys/bus/xen/drivers/vscsi/unbind && rmmod xen-scsifront")
    until(lambda: daemon.figures["back_end"] == "init wait", what=lambda: daemon.figures)
    disks.gone(0)
    left = remains(daemon)
    assert (left.grants, left.journal) == (0, ())
    guest.run("modprobe xen-scsifront")
    for lun in range(3):
        disks.look(lun)
    assert daemon.figures["sessions"] == before + 1
    guest.run(f"mount -t ext4 {disks[0]} {folder}")


@pytest.mark.timeout(1800)
def test_an_hba_that_comes_and_goes_leaves_nothing(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    """Most rounds have one disk: the guest's kernel takes about a second to look at each."""
    others = {"1": "second", "2": "third"}

    def detach() -> None:
        daemon.admin("xen", "detach", f"hba={daemon.hba}")

    def attach() -> None:
        daemon.admin("xen", "attach", f"hba={daemon.hba}", f"target={daemon.target}")

    def left() -> Remains:
        disks.gone(0)
        assert daemon.admin("stat")["leases"] == []
        return remains(daemon)

    def used() -> Remains:
        for lun in range(3):
            disks.look(lun)
        assert daemon.admin("stat")["leases"]
        return remains(daemon)

    guest.run(f"umount {folder}")
    detach()
    empty = left()
    assert (empty.grants, empty.nodes, empty.journal) == (0, (), ())
    attach()
    busy = used()
    assert busy.grants > empty.grants
    assert busy.ports > empty.ports
    assert busy.nodes
    assert busy.journal
    detach()
    for lun in others:
        daemon.admin("lun", "remove", daemon.target, lun)
    for _ in range(_ROUNDS):
        attach()
        disks.look(0)
        detach()
    for lun, unit in others.items():
        daemon.admin("lun", "add", daemon.target, lun, unit)
    assert left() == empty
    attach()
    # Numbers of event channels are in the nodes.
    assert used()._replace(nodes=()) == busy._replace(nodes=())
    guest.run(f"mount -t ext4 {disks[0]} {folder}")


def test_a_daemon_that_ends_in_order_leaves_the_disks_to_the_next(
    guest: Shell, daemon: XenDaemon, disks: XenDisks, folder: str
) -> None:
    with VerifiedWriter(guest, folder) as writer:
        daemon.stop()
        daemon.start()
        writer.wait_progress()
