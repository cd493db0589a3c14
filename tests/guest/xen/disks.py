"""The disks of a virtual HBA as the domain with the front end has them."""

from guest.lab.shell import Shell


class XenDisks:
    """By LUN.

    :param guest: the domain with the front end.
    :param target: its number in the address of the disks.
    """

    def __init__(self, guest: Shell, target: int = 0) -> None:
        self._guest = guest
        self._target = target

    def __getitem__(self, lun: int) -> str:
        """The path of the disk, which is waited for."""
        return self._guest.text(f"{self._waits_for(lun)} && echo $disk")

    def look(self, lun: int) -> None:
        """Read from a disk, which waits until the domain has looked for partitions there."""
        self._guest.run(f"{self._waits_for(lun)} && dd if=$disk of=/dev/null bs=4k count=4 iflag=direct")

    def sized(self, lun: int, bytes_: int) -> None:
        """Wait for a disk of that size."""
        size = f"cat {self._device(lun)}/block/*/size 2>/dev/null"
        self._guest.run(f'sized() {{ [ "$({size})" = {bytes_ >> 9} ]; }}; within 60 sized', timeout_s=100)

    def gone(self, lun: int) -> None:
        """Wait until the disk is not there."""
        self._guest.run(f"within 30 missing '{self._device(lun)}'")

    def _device(self, lun: int) -> str:
        return f"/sys/bus/scsi/devices/*:0:{self._target}:{lun}"

    def _waits_for(self, lun: int) -> str:
        """A script that waits for a disk, which has a name before it has a node, and calls its path ``disk``."""
        found = 'disk=/dev/${disk##*/}; [ -b "$disk" ] && return'
        return f"there() {{ for disk in {self._device(lun)}/block/*; do {found}; done; false; }}; within 30 there"
