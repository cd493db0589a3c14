"""One daemon takes the place of another under a kernel that has the disk in use."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from guest.lab.verified import VerifiedWriter
from oracle.served import TARGET, Served

_CONFIGURATION = """
[logical_units.files]
device_type = "disk"
store = {{ type = "file", path = "{work}/upgraded-files.img", size = "128M", create = true }}

[logical_units.raw]
device_type = "disk"
store = {{ type = "file", path = "{work}/upgraded-raw.img", size = "64M", create = true }}

[transports.iscsi]
portals = [{{ address = "127.0.0.7:0" }}]

[targets."{target}"]
transport = "iscsi"
luns = ["files", "raw"]
allow = {{ initiators = ["*"] }}
"""
_PROBE = """
rm -f /tmp/probe.stop /tmp/probe.failed
for reader in 1 2 3 4; do
    (until [ -e /tmp/probe.stop ]; do
        dd if=$1 of=/dev/null bs=64k count=64 iflag=direct 2>/tmp/probe.error.$reader ||
            { cp /tmp/probe.error.$reader /tmp/probe.failed; break; }
    done) &
done
longest=0
until [ -e /tmp/probe.stop ]; do
    before=$(tr -d . </proc/uptime | cut -d' ' -f1)
    dd if=$1 of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null || touch /tmp/probe.failed
    took=$(($(tr -d . </proc/uptime | cut -d' ' -f1) - before))
    [ $took -gt $longest ] && longest=$took && echo $longest >/tmp/probe.longest
done
wait
"""
_PAUSE_S = 10
"""What an initiator may notice; on a quiet machine it is about two seconds."""


class Probe:
    """Direct reads that never end: whether one has failed, and the longest that one took."""

    def __init__(self, guest: Guest, disk: str) -> None:
        self._guest = guest
        guest.put("/tmp/probe.sh", _PROBE.encode())
        guest.run(f"sh /tmp/probe.sh {disk} >/dev/null 2>&1 & echo $! >/tmp/probe.pid")

    def end(self) -> float:
        """Stop, with every read in good order; the longest pause in seconds."""
        self._guest.run("touch /tmp/probe.stop; within 60 gone $(cat /tmp/probe.pid)", timeout_s=70)
        assert self._guest.run("test -e /tmp/probe.failed", check=False).status != 0, self._guest.text(
            "cat /tmp/probe.failed"
        )
        return int(self._guest.text("cat /tmp/probe.longest")) / 100


@pytest.fixture
def daemons(work: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


_BROKEN = r"conn error|Power-on|Sense Key.*Unit Attention|detected conn"
_DYING = Path(__file__).parents[1] / "support" / "dying.py"


@pytest.mark.provokes(_BROKEN)
def test_two_upgrades_under_verified_io(guest: Guest, initiator: Initiator, work: Path, daemons: ExitStack) -> None:
    served = daemons.enter_context(Served.configured(work, _CONFIGURATION.format(work=work, target=TARGET)))
    portal = served.portal
    with initiator.session(portal, TARGET, replacement_timeout="60") as session:
        disk, raw = initiator.disk(session, 0), initiator.disk(session, 1)
        guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
        guest.run(f"dd if=/dev/urandom of={raw} bs=1M count=8 oflag=direct && md5sum {raw} >/tmp/raw.md5")
        with VerifiedWriter(guest, "/mnt/d") as writer:
            probe = Probe(guest, raw)
            for _ in range(2):
                before = served
                served = daemons.enter_context(before.successor())
                assert served.portal == portal
                assert before.process.wait(20) == 0
                writer.wait_progress()
            assert probe.end() < _PAUSE_S
        guest.run("echo 3 >/proc/sys/vm/drop_caches; md5sum -c /tmp/raw.md5")
        guest.run(f"umount /mnt/d && fsck.ext4 -f -n {disk}")
        assert "I/O error" not in guest.text("dmesg")
    assert served.admin("stat")["leases"] == []


@pytest.mark.provokes(_BROKEN)
@pytest.mark.parametrize("step", [("after", "receive", "go"), ("before", "send", "yours")], ids=" ".join)
def test_a_predecessor_that_is_killed_midway_under_verified_io(
    guest: Guest, initiator: Initiator, work: Path, daemons: ExitStack, step: tuple[str, str, str]
) -> None:
    text = _CONFIGURATION.format(work=work, target=TARGET)
    first = Served.configured(work, text, under=(sys.executable, _DYING, *step))
    daemons.callback(first.kill)
    with initiator.session(first.portal, TARGET, replacement_timeout="60") as session:
        disk = initiator.disk(session, 0)
        guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
        with VerifiedWriter(guest, "/mnt/d") as writer:
            served = daemons.enter_context(first.successor())
            assert first.process.wait(20) == -signal.SIGKILL
            assert served.portal == first.portal
            writer.wait_progress()
        guest.run(f"umount /mnt/d && fsck.ext4 -f -n {disk}")
    assert served.admin("stat")["leases"] == []
