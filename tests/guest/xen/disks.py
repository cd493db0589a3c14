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
        found = f"/sys/bus/scsi/devices/*:0:0:{lun}/block/*"
        return "/dev/" + self._guest.text(f"within 30 sh -c '[ -e {found} ]' && basename {found}")

    def look(self, lun: int) -> None:
        """Read from a disk, which waits until the domain has looked for partitions there."""
        self._guest.run(f"dd if={self[lun]} of=/dev/null bs=4k count=4 iflag=direct")

    def gone(self, lun: int) -> None:
        """Wait until the disk is not there."""
        self._guest.run(f"within 30 sh -c '! [ -e /sys/bus/scsi/devices/*:0:0:{lun} ]'")
