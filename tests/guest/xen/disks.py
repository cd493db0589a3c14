"""The disks of a virtual HBA as the domain with the front end has them."""

from guest.lab.shell import Shell


class XenDisks:
    """By LUN.

    :param guest: the domain with the front end.
    """

    def __init__(self, guest: Shell) -> None:
        self._guest = guest

    def __getitem__(self, lun: int) -> str:
        """The path of the disk, which is waited for."""
        return self._guest.text(f"{_waits_for(lun)} && echo $disk")

    def look(self, lun: int) -> None:
        """Read from a disk, which waits until the domain has looked for partitions there."""
        self._guest.run(f"{_waits_for(lun)} && dd if=$disk of=/dev/null bs=4k count=4 iflag=direct")

    def sized(self, lun: int, bytes_: int) -> None:
        """Wait for a disk of that size."""
        size = f"cat {_device(lun)}/block/*/size 2>/dev/null"
        self._guest.run(f'sized() {{ [ "$({size})" = {bytes_ >> 9} ]; }}; within 60 sized', timeout_s=100)

    def gone(self, lun: int) -> None:
        """Wait until the disk is not there."""
        self._guest.run(f"within 30 missing '{_device(lun)}'")


def _device(lun: int) -> str:
    return f"/sys/bus/scsi/devices/*:0:0:{lun}"


def _waits_for(lun: int) -> str:
    """A script that waits for a disk, which has a name before it has a node, and calls its path ``disk``."""
    there = f'for disk in {_device(lun)}/block/*; do disk=/dev/${{disk##*/}}; [ -b "$disk" ] && return; done; false'
    return f"there() {{ {there}; }}; within 30 there"
