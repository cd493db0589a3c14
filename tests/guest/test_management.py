"""tgtadm at work under a kernel that has the disk in use: resize, removal of the LUN, the target and the daemon."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import TARGET, Served

_GONE = r"I/O error|rejecting I/O|Sense Key|conn error|Synchronize Cache.* failed|Result: hostbyte|EXT4-fs error"
_CAPACITY_CHANGED = "dmesg | grep -qi 'capacity data has changed'"


@pytest.fixture
def served(work: Path) -> Iterator[Served]:
    with Served.disk(work, work / f"{time.monotonic_ns()}.img", options=("--size", "256M"), host="127.0.0.6") as daemon:
        yield daemon


@pytest.fixture
def session(initiator: Initiator, served: Served) -> Iterator[int]:
    """A session that may be gone at the end."""
    with initiator.session(served.portal, TARGET, replacement_timeout="5") as number:
        yield number


@pytest.fixture
def disk(initiator: Initiator, session: int) -> str:
    return initiator.disk(session, 0)


def leases(served: Served) -> list[Any]:
    """What the daemon says is still held by tasks and sessions."""
    return list(served.admin("stat")["leases"])


def busy(served: Served) -> list[Any]:
    """The leases of tasks; sessions that go on have leases too."""
    return [row for row in leases(served) if not row["holder"].startswith("nexus ")]


HOW = [(), ("--force",)]
NOT_FOUND = 4


def status_of(served: Served, *words: str) -> int:
    """The exit status of a verb."""
    tgtadm = Path(sys.executable).with_name("tgtadm")
    return subprocess.run(
        [tgtadm, "--socket", served.socket, *words], capture_output=True, timeout=60, check=False
    ).returncode


def unit_name(served: Served) -> str:
    """The name of the only logical unit."""
    (unit,) = served.admin("lu", "list")
    return str(unit["name"])


def rescan_until(guest: Guest, session: int, disk: str, size_bytes: int) -> None:
    """What a user does after he has resized a disk, and what he expects."""
    guest.run(f"iscsiadm -m session -r {session} --rescan")
    guest.run(f"within 20 sh -c '[ $(blockdev --getsize64 {disk}) = {size_bytes} ]'", timeout_s=30)


# ---- resize ---------------------------------------------------------------------------------------------------------


def test_a_resize_is_noticed_with_the_next_command(guest: Guest, served: Served, session: int, disk: str) -> None:
    served.admin("lu", "resize", unit_name(served), "384M")
    guest.run(f'dd if={disk} of=/dev/null bs=4k count=1 iflag=direct; within 20 sh -c "{_CAPACITY_CHANGED}"')
    rescan_until(guest, session, disk, 384 << 20)
    guest.run(f"dd if=/dev/urandom of={disk} bs=1M seek=380 count=4 oflag=direct")


def test_a_mounted_file_system_grows_with_its_disk(guest: Guest, served: Served, session: int, disk: str) -> None:
    guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
    guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null && cp /tmp/data /mnt/d/ && sync")
    served.admin("lu", "resize", unit_name(served), "512M")
    guest.run(f'cp /tmp/data /mnt/d/again && sync && within 20 sh -c "{_CAPACITY_CHANGED}"')
    rescan_until(guest, session, disk, 512 << 20)
    guest.run(f"resize2fs {disk} && umount /mnt/d && fsck.ext4 -f -n {disk}", timeout_s=90)
    guest.run(f"mount {disk} /mnt/d && cmp /tmp/data /mnt/d/data && cmp /tmp/data /mnt/d/again")
    blocks, block_bytes = map(int, guest.text("stat -f -c '%b %S' /mnt/d").split())
    guest.run("umount /mnt/d")
    assert blocks * block_bytes > 400 << 20


# ---- removal under I/O ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
@pytest.mark.provokes(_GONE)
def test_removing_lun_and_target_under_io_hangs_nothing(
    guest: Guest, served: Served, session: int, disk: str, how: tuple[str, ...]
) -> None:
    guest.run(f"load {disk}")
    served.admin("lun", "remove", TARGET, "0", *how)
    assert busy(served) == []
    guest.run("load_over", timeout_s=70)
    guest.run("dmesg | grep -qi 'logical unit not supported'")
    assert status_of(served, "lun", "remove", TARGET, "0") == NOT_FOUND
    served.admin("target", "remove", TARGET)
    nothing_is_left(guest, served, session)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.provokes(_GONE)
def test_removing_the_target_alone_under_io_hangs_nothing(
    guest: Guest, served: Served, session: int, disk: str, how: tuple[str, ...]
) -> None:
    guest.run(f"load {disk}")
    served.admin("target", "remove", TARGET, *how)
    guest.run("load_over", timeout_s=70)
    nothing_is_left(guest, served, session)
    guest.run("! dmesg | grep -E 'hung task|blocked for more than'")
    assert status_of(served, "target", "remove", TARGET) == NOT_FOUND
    assert status_of(served, "target", "remove", TARGET, "--if-exists") == 0


@pytest.mark.provokes(_GONE)
def test_removing_the_logical_unit_by_force_under_io_hangs_nothing(
    guest: Guest, served: Served, session: int, disk: str
) -> None:
    guest.run(f"load {disk}")
    served.admin("lu", "remove", unit_name(served), "--unmap", "--force")
    assert served.admin("lu", "list") == []
    guest.run("load_over", timeout_s=70)
    served.admin("target", "remove", TARGET)
    nothing_is_left(guest, served, session)


@pytest.mark.provokes(_GONE)
def test_a_daemon_that_stops_under_io_hangs_nothing(
    guest: Guest, initiator: Initiator, served: Served, session: int, disk: str
) -> None:
    guest.run(f"load {disk}")
    assert served.stop() == 0
    guest.run("load_over", timeout_s=70)
    guest.run("within 20 nothing_hangs", timeout_s=30)
    initiator.logout(session)


def nothing_is_left(guest: Guest, served: Served, session: int) -> None:
    """No session and no lease in the daemon, no waiting process in the guest, which can log out."""
    assert served.admin("session", "list") == []
    assert leases(served) == []
    guest.run("within 20 nothing_hangs", timeout_s=30)
    guest.run(f"timeout 60 iscsiadm -m session -r {session} -u; true", timeout_s=70)
    guest.run(f"within 20 test ! -e /sys/class/iscsi_session/session{session}", timeout_s=30)


# ---- removal while mounted ------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(guest: Guest, disk: str) -> Iterator[str]:
    """The disk with a mounted file system that has one durable file and one that is not."""
    guest.run(f"mkfs.ext4 -q -F {disk} && mount -o errors=remount-ro {disk} /mnt/d && echo kept >/mnt/d/kept && sync")
    guest.run("dd if=/dev/zero of=/mnt/d/lost bs=1M count=2")
    yield disk
    assert guest.text("grep -c /mnt/d /proc/mounts; true") == "0"


@pytest.mark.provokes(_GONE + "|EXT4-fs|JBD2|Buffer I/O")
def test_a_lun_removed_while_mounted_comes_back_whole(guest: Guest, served: Served, session: int, mounted: str) -> None:
    served.admin("lun", "remove", TARGET, "0")
    assert guest.run("dd if=/dev/zero of=/mnt/d/more bs=1M count=1 conv=fsync", check=False, timeout_s=60).status != 0
    guest.run("timeout 60 umount /mnt/d", timeout_s=70)
    assert busy(served) == []
    guest.run("within 20 nothing_hangs", timeout_s=30)
    served.admin("lun", "add", TARGET, "0", unit_name(served))
    guest.run(f"within 20 sg_turs {mounted}; iscsiadm -m session -r {session} --rescan", timeout_s=40)
    guest.run(f"mount {mounted} /mnt/d", timeout_s=60)
    assert guest.text("cat /mnt/d/kept") == "kept"
    guest.run(f"umount /mnt/d && fsck.ext4 -f -n {mounted}", timeout_s=60)


@pytest.mark.provokes(_GONE + "|EXT4-fs|JBD2|Buffer I/O")
def test_a_target_removed_while_mounted_lets_the_guest_unmount(
    guest: Guest, served: Served, session: int, mounted: str
) -> None:
    served.admin("target", "remove", TARGET)
    command = "dd if=/dev/zero of=/mnt/d/more bs=1M count=1 conv=fsync"
    assert guest.run(command, check=False, timeout_s=60).status != 0
    guest.run("timeout 60 umount /mnt/d", timeout_s=70)
    nothing_is_left(guest, served, session)
