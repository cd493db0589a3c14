"""The disk: every command, page and habit of it in one class."""

from tgtcore_disk.addressing import Addressing
from tgtcore_disk.cache import CacheCommands
from tgtcore_disk.capacity import CapacityCommands
from tgtcore_disk.defects import DefectCommands
from tgtcore_disk.format_unit import FormatCommands
from tgtcore_disk.provisioning_pages import ProvisioningPages
from tgtcore_disk.start_stop import StartStopCommands
from tgtcore_disk.verify import VerifyCommands
from tgtcore_disk.vpd_pages import DiskVpdPages
from tgtcore_disk.write_same import WriteSameCommands


class Disk(
    DiskVpdPages,
    ProvisioningPages,
    VerifyCommands,
    Addressing,
    WriteSameCommands,
    CacheCommands,
    CapacityCommands,
    DefectCommands,
    StartStopCommands,
    FormatCommands,
):
    """A direct access block device (SBC-4) on a store."""

    hands_over = True
