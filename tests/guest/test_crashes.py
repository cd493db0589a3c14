"""Power cuts under file systems: what was made durable stays, and who never flushes is named.

TGTCORE_CRASHES says how many power cuts there are in all; each takes some seconds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import NAME, Initiator
from guest.lab.synced import SyncedFiles
from oracle.served import TARGET, Served

_CRASHES = int(os.environ.get("TGTCORE_CRASHES", "10")) // 2
_BATCH = 25
_FILE_SYSTEMS = {"ext4": ("mkfs.ext4 -q -F", "fsck.ext4 -f -n"), "xfs": ("mkfs.xfs -q -f", "xfs_repair -n")}
_CARELESS = "iqn.2025-01.example.guest:careless"
_WITHOUT_POWER = (
    r"I/O [eE]rror|rejecting I/O|Sense Key|EXT4-fs|async page write|"
    # what XFS calls it when it can't end a transaction any more; what it finds damaged on the disk it calls otherwise
    r"XFS .*(shut down due to log error|Corruption of in-memory data)"
)
_CONFIGURATION = """
[logical_units.disk]
device_type = "disk"
store = {{ type = "memory", size = "512M" }}
filters = [{{ type = "crash", memory = "128M" }}]

[transports.iscsi]
portals = [{{ address = "127.0.0.2:0" }}]

[targets."{target}"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""


@contextmanager
def crashing(work: Path) -> Iterator[Served]:
    """A daemon with a disk that loses what was not flushed when it is told to."""
    with Served.configured(work, _CONFIGURATION.format(target=TARGET), plugins=("filters",)) as served:
        yield served


def crash(served: Served, *arguments: str) -> dict[str, Any]:
    """Cut the power; what that has cost."""
    return dict(served.admin("filter", "do", "disk", "crash", "crash", *arguments)["result"])


@pytest.mark.provokes(_WITHOUT_POWER)
@pytest.mark.parametrize("batch", range(-(-_CRASHES // _BATCH)))
@pytest.mark.parametrize("kind", _FILE_SYSTEMS)
def test_nothing_that_was_fsynced_is_lost(
    guest: Guest, initiator: Initiator, work: Path, kind: str, batch: int
) -> None:
    make, examine = _FILE_SYSTEMS[kind]
    dice = Random(f"{kind} {batch}")
    crashes = min(_BATCH, _CRASHES - batch * _BATCH)
    lost = 0
    with crashing(work) as served, initiator.session(served.portal, TARGET) as session:
        disk = initiator.disk(session, 0)
        files = SyncedFiles(guest, disk, make)
        for _ in range(crashes):
            files.write(dice.randrange(1, 6))
            report = crash(served, "keep=some", f"seed={dice.randrange(1 << 32)}")
            lost += report["lost_writes"] + report["torn_writes"]
        files.examine()
        guest.run(f"{examine} {disk}", timeout_s=60)
        assert served.admin("filter", "show", "disk", "crash")["figures"]["never_flushed"] == []
    assert files.count >= crashes
    assert lost >= crashes, "these power cuts have cost too little to show anything"


@pytest.mark.provokes(_WITHOUT_POWER)
def test_an_initiator_that_never_flushes_is_caught_by_name(guest: Guest, initiator: Initiator, work: Path) -> None:
    """Its kernel believes that the disk has no cache, so fsync is in vain there: what was fsynced is lost."""
    careless = Initiator(guest, _CARELESS, interface="careless")
    with (
        crashing(work) as served,
        initiator.session(served.portal, TARGET) as good,
        careless.session(served.portal, TARGET) as bad,
    ):
        files = SyncedFiles(guest, initiator.disk(good, 0), _FILE_SYSTEMS["ext4"][0])
        files.disk = careless.disk(bad, 0)
        cache_type = f"/sys/block/{files.disk.removeprefix('/dev/')}/device/scsi_disk/*/cache_type"
        guest.run(f"echo temporary write through | tee {cache_type}")
        files.write(3)
        figures = served.admin("filter", "show", "disk", "crash")["figures"]
        assert figures["never_flushed"] == [_CARELESS]
        assert figures["initiators"][NAME]["flushes"] > 0
        assert figures["initiators"][NAME]["unflushed_bytes"] == 0
        report = crash(served)
        assert list(report["initiators"]) == [_CARELESS]
        assert report["initiators"][_CARELESS]["flushes"] == 0
        files.disk = initiator.disk(good, 0)
        with pytest.raises(AssertionError, match="file1: FAILED"):
            files.examine()
        guest.run("umount /mnt/d")
