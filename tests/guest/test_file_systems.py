"""File systems on our disk: made, written, checked, and read again by a kernel that has forgotten everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import TARGET, Served

_WRITE = """
dd if=/dev/urandom of=/mnt/d/data bs=1M count=24 conv=fsync 2>/dev/null
cp -r /usr/lib/modules /mnt/d/
sync
(cd /mnt/d && find . -type f -print0 | sort -z | xargs -0 sha256sum) >/tmp/sums
"""


@pytest.fixture(scope="module")
def disk(initiator: Initiator, daemon: Served) -> Iterator[str]:
    with initiator.session(daemon.portal, TARGET) as session:
        yield initiator.disk(session, 0)


@pytest.mark.parametrize(
    ("make", "kind", "examine"),
    [("mkfs.ext4 -q -F", "ext4", "fsck.ext4 -f -n"), ("mkfs.xfs -q -f", "xfs", "xfs_repair -n")],
    ids=["ext4", "xfs"],
)
def test_made_written_and_read_again(guest: Guest, disk: str, make: str, kind: str, examine: str) -> None:
    assert guest.run(f"{make} {disk}", timeout_s=60).status == 0
    guest.run(f"mount -t {kind} {disk} /mnt/d")
    guest.run(_WRITE, timeout_s=120)
    guest.run("umount /mnt/d", timeout_s=60)
    guest.run(f"{examine} {disk}", timeout_s=60)
    guest.run("echo 3 >/proc/sys/vm/drop_caches")
    guest.run(f"mount -t {kind} {disk} /mnt/d && cd /mnt/d && sha256sum -c /tmp/sums --quiet", timeout_s=120)
    guest.run("fstrim /mnt/d && umount /mnt/d", timeout_s=60)
    guest.run(f"{examine} {disk}", timeout_s=60)


_ZERO = "dd if={0} bs=1M count=2 iflag=direct 2>/dev/null | cmp -n 2097152 - /dev/zero"


@pytest.mark.parametrize("discard", ["blkdiscard", "blkdiscard -z -l 2097152"])
def test_what_is_discarded_or_zeroed_reads_zeroes(guest: Guest, disk: str, discard: str) -> None:
    guest.run(f"dd if=/dev/urandom of={disk} bs=1M count=2 oflag=direct && {discard} {disk}", timeout_s=60)
    assert guest.run(_ZERO.format(disk)).status == 0


def used_bytes(work: Path) -> int:
    """The room that the sparse image takes."""
    return (work / "disk.img").stat().st_blocks * 512


def test_a_discarded_disk_takes_no_room(guest: Guest, disk: str, work: Path) -> None:
    guest.run(f"dd if=/dev/zero of={disk} bs=1M count=4 oflag=direct", timeout_s=60)
    assert used_bytes(work) >= 4 << 20
    guest.run(f"blkdiscard {disk}", timeout_s=60)
    assert used_bytes(work) < 1 << 20


def test_trimming_shrinks_the_image(guest: Guest, disk: str, work: Path) -> None:
    guest.run(f"blkdiscard {disk} && mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d", timeout_s=60)
    empty = used_bytes(work)
    guest.run("dd if=/dev/urandom of=/mnt/d/data bs=1M count=16 conv=fsync", timeout_s=60)
    assert used_bytes(work) >= empty + (16 << 20)
    guest.run("rm /mnt/d/data && sync && fstrim /mnt/d && umount /mnt/d", timeout_s=60)
    assert used_bytes(work) < empty + (8 << 20)
    guest.run(f"fsck.ext4 -f -n {disk}")
