"""Snapshots of a qcow2 image under a kernel that writes to it."""

import json
import subprocess
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from guest.lab.verified import VerifiedWriter
from oracle.served import TARGET, Served

_NAMES = ("first", "second", "third")


def test_each_snapshot_is_a_file_system_of_its_moment(guest: Guest, initiator: Initiator, work: Path) -> None:
    image = work / "disk.qcow2"
    with Served.qcow2(work, image, size="1G", host="127.0.0.2") as served:
        with initiator.session(served.portal, TARGET) as session:
            _make_snapshots(guest, initiator.disk(session, 0), served)
            with pytest.raises(AssertionError, match="--force"):
                served.admin("snapshot", "revert", "disk", "first")
        for number, name in enumerate(_NAMES):
            served.admin("snapshot", "revert", "disk", name)
            with initiator.session(served.portal, TARGET) as session:
                _examine(guest, initiator.disk(session, 0), number)
        assert [one["name"] for one in served.admin("snapshot", "list", "disk")] == list(_NAMES)
    checked = subprocess.run(
        ["qemu-img", "check", "--output=json", image], capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(checked.stdout)
    assert [found.get(what, 0) for what in ("corruptions", "leaks", "check-errors")] == [0, 0, 0], found


def _make_snapshots(guest: Guest, disk: str, served: Served) -> None:
    """While files are written, and with a mark that was durable before each."""
    guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
    with VerifiedWriter(guest, "/mnt/d") as writer:
        for number, name in enumerate(_NAMES):
            guest.run(f"echo {number} >/mnt/d/mark && sync")
            made = served.admin("snapshot", "create", "disk", name)
            assert made["name"] == name
            writer.wait_progress()
    guest.run(f"umount /mnt/d && fsck.ext4 -f -n {disk}", timeout_s=60)


def _examine(guest: Guest, disk: str, number: int) -> None:
    """The journal is replayed as after a power cut; then nothing is wrong, and the mark is the one of that moment."""
    guest.run(f"mount {disk} /mnt/d && cat /mnt/d/mark >/tmp/mark && umount /mnt/d", timeout_s=60)
    guest.run(f"fsck.ext4 -f -n {disk}", timeout_s=60)
    assert guest.text("cat /tmp/mark") == str(number)
