"""The same with the transport in a process of its own."""

from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.pseries.disks import VirtualDisks

# The guest's memory is root's, as the guest is.
_ISOLATED = 'isolation = "process"\nuser = "root"'


@pytest.mark.provokes("Power-on|Sense Key")
def test_disks_are_written_and_read_before_and_after_a_new_queue(guest: Guest, work: Path) -> None:
    with VirtualDisks(guest, work, _ISOLATED) as disks:
        disk = disks["0:0:1"]
        for seed in (1, 2):
            guest.run(
                f"""
                dd if=/dev/urandom of=/tmp/data{seed} bs=256k count=4 && dd if=/tmp/data{seed} of={disk} bs=256k oflag=direct &&
                dd if={disk} of=/tmp/back bs=1M count=1 iflag=direct && cmp /tmp/data{seed} /tmp/back
                """,
                timeout_s=100,
            )
            guest.run(f"sg_reset -H $(generic {disk})", timeout_s=100)
