"""Disks of other kinds: 4096-byte blocks, thick, read-only, removable."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import TARGET, Served

_SIZE = 320 << 20


@pytest.fixture
def attached(initiator: Initiator, work: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The path of a disk that is served with the options of the test's `served_with` mark."""
    options = request.node.get_closest_marker("served_with").args
    with attach(initiator, work, work / f"{request.node.name}.img", *options) as disk:
        yield disk


@contextmanager
def attach(initiator: Initiator, work: Path, image: Path, *options: str) -> Iterator[str]:
    """A disk in the guest for the time of a with block."""
    with (
        Served.disk(work, image, options=("--size", str(_SIZE), *options), host="127.0.0.2") as served,
        initiator.session(served.portal, TARGET) as session,
    ):
        yield initiator.disk(session, 0)


def queue_limit(guest: Guest, disk: str, name: str) -> int:
    """A limit of the block layer."""
    return int(guest.text(f"cat /sys/block/{disk.removeprefix('/dev/')}/queue/{name}"))


@pytest.mark.served_with("--block-size", "4096")
def test_a_4kn_disk_has_blocks_of_4096_bytes(guest: Guest, attached: str) -> None:
    text = guest.text(f"sg_readcap -l {attached}")
    assert "Logical block length=4096 bytes" in text
    assert "physical block exponent=0" in text
    assert queue_limit(guest, attached, "logical_block_size") == 4096
    assert guest.text(f"blockdev --getsize64 {attached}") == str(_SIZE)


@pytest.mark.served_with("--block-size", "4096")
@pytest.mark.parametrize(
    ("make", "examine"),
    [("mkfs.ext4 -q -F", "fsck.ext4 -f -n"), ("mkfs.xfs -q -f", "xfs_repair -n")],
    ids=["ext4", "xfs"],
)
def test_a_4kn_disk_carries_a_file_system(guest: Guest, attached: str, make: str, examine: str) -> None:
    guest.run(f"{make} {attached} && mount {attached} /mnt/d")
    guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null && cp /tmp/data /mnt/d/ && umount /mnt/d")
    guest.run(f"{examine} {attached}")
    guest.run(f"mount {attached} /mnt/d && cmp /tmp/data /mnt/d/data && fstrim /mnt/d && umount /mnt/d")


@pytest.mark.served_with("--block-size", "4096")
@pytest.mark.provokes("Unaligned partial completion|I/O error|Sense Key")
def test_a_4kn_disk_takes_no_half_blocks(guest: Guest, attached: str) -> None:
    assert guest.run(f"dd if={attached} of=/dev/null bs=512 count=1 iflag=direct", check=False).status != 0
    assert guest.run(f"dd if={attached} of=/dev/null bs=4096 count=1 iflag=direct").status == 0


@pytest.mark.served_with("--thick")
def test_a_thick_disk_cannot_discard(guest: Guest, attached: str) -> None:
    assert "lbpme=0" in guest.text(f"sg_readcap -l {attached}")
    assert guest.text(f"lsblk -D -b -n -o DISC-GRAN,DISC-MAX {attached}").split() == ["0", "0"]
    assert guest.run(f"blkdiscard {attached}", check=False).status != 0
    guest.run(f"dd if=/dev/urandom of=/tmp/data bs=64k count=1 && dd if=/tmp/data of={attached} oflag=direct bs=64k")
    guest.run(f"dd if={attached} bs=64k count=1 iflag=direct | cmp - /tmp/data")


def test_a_read_only_disk_is_read_and_mounted_but_not_written(guest: Guest, initiator: Initiator, work: Path) -> None:
    image = work / "read-only.img"
    with attach(initiator, work, image) as disk:
        guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d && echo kept >/mnt/d/text && umount /mnt/d")
    with attach(initiator, work, image, "--read-only") as disk:
        assert guest.text(f"blockdev --getro {disk}") == "1"
        assert guest.run(f"dd if=/dev/zero of={disk} bs=4k count=1 oflag=direct", check=False).status != 0
        assert "Write protected" in guest.run(f"sg_write_same -v --num=1 $(generic {disk})", check=False).text
        guest.run(f"mount -o ro {disk} /mnt/d")
        assert guest.text("cat /mnt/d/text") == "kept"
        guest.run("umount /mnt/d")


@pytest.mark.served_with("--removable")
def test_a_removable_disk_says_so(guest: Guest, attached: str) -> None:
    assert guest.text(f"cat /sys/block/{attached.removeprefix('/dev/')}/removable") == "1"
    assert "RMB=1" in guest.text(f"sg_inq {attached}")


@pytest.mark.served_with("--removable")
@pytest.mark.provokes("Sense Key|detected capacity change")
def test_a_removable_medium_is_ejected_and_comes_back(guest: Guest, attached: str) -> None:
    guest.run(f"mkfs.ext4 -q -F {attached} && mount {attached} /mnt/d && echo kept >/mnt/d/text && umount /mnt/d")
    guest.run(f"eject -s {attached}")
    assert "Medium not present" in guest.run(f"sg_turs -vv {attached}", check=False).text
    assert guest.run(f"dd if={attached} of=/dev/null bs=4k count=1 iflag=direct", check=False).status != 0
    guest.run(f"sg_start --load {attached}; within 20 sg_turs {attached}", timeout_s=30)
    guest.run(f"mount {attached} /mnt/d")
    assert guest.text("cat /mnt/d/text") == "kept"
    guest.run("umount /mnt/d")


@pytest.mark.served_with("--removable")
def test_a_mounted_medium_stays(guest: Guest, attached: str) -> None:
    guest.run(f"mkfs.ext4 -q -F {attached} && mount {attached} /mnt/d")
    assert "removal prevented" in guest.run(f"sg_start -v --eject $(generic {attached})", check=False).text
    guest.run("echo written >/mnt/d/text && sync && umount /mnt/d")
    guest.run(f"sg_start --eject $(generic {attached})")
    guest.run(f"sg_start --load $(generic {attached})")


@pytest.mark.served_with("--removable")
def test_removal_is_prevented_and_allowed_by_hand(guest: Guest, attached: str) -> None:
    guest.run(f"sg_prevent --prevent=1 $(generic {attached})")
    assert "removal prevented" in guest.run(f"sg_start -v --eject $(generic {attached})", check=False).text
    guest.run(f"sg_prevent --allow $(generic {attached})")
    guest.run(f"sg_start --eject $(generic {attached})")
    guest.run(f"sg_start --load $(generic {attached})")
