"""The SBC disk, a device type plugin of tgtcore."""

from typing import Any

from tgtcore import hookimpl
from tgtcore_disk.disk import Disk
from tgtcore_disk.options import DiskOptions

__all__ = ["Disk", "DiskOptions"]


@hookimpl
def tgt_register_device_types(registry: Any) -> None:
    """Offer the device type ``disk``."""
    registry.device_type("disk", Disk)
