"""The same with the transport in a process of its own."""

from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.pseries.disks import TARGET, VirtualDisks

# The guest's memory is root's, as the guest is.
_ISOLATED = 'isolation = "process"\nuser = "root"'


@pytest.mark.provokes("Power-on|Sense Key")
def test_disks_are_written_and_read_before_and_after_a_new_queue_and_a_drain(guest: Guest, work: Path) -> None:
    with VirtualDisks(guest, work, _ISOLATED) as disks:
        disk = disks["0:0:1"]
        _write_and_read(guest, disk)
        guest.run(f"sg_reset -H $(generic {disk})", timeout_s=100)
        _write_and_read(guest, disk)
        disks.daemon.admin("target", "drain", TARGET, "--deadline", "1")
        assert disks.state() == ("takes no logins", 0, 0)
        disks.daemon.admin("target", "reopen", TARGET)
        _write_and_read(guest, disk)


def _write_and_read(guest: Guest, disk: str) -> None:
    guest.run(
        f"""
        dd if=/dev/urandom of=/tmp/data bs=256k count=4 && dd if=/tmp/data of={disk} bs=256k oflag=direct &&
        dd if={disk} of=/tmp/back bs=1M count=1 iflag=direct && cmp /tmp/data /tmp/back
        """,
        timeout_s=100,
    )
