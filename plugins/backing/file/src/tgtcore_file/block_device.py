"""What the kernel tells about a block device."""

import os
from pathlib import Path

_SYSFS = Path("/sys/dev/block")


class BlockDevice:
    """The limits of one block device, or of the disk that a partition is on, from sysfs.

    Without sysfs everything has the value that is safe to assume.
    """

    def __init__(self, device: int, sysfs: Path = _SYSFS) -> None:
        folder = sysfs / f"{os.major(device)}:{os.minor(device)}"
        here, disk = folder / "queue", folder.resolve().parent / "queue"
        self._queue = here if here.is_dir() else disk
        self.logical_bytes = self._value("logical_block_size", 512)
        """Offsets and lengths of fallocate(2) must be multiples of this."""
        self.physical_bytes = self._value("physical_block_size", 4096)
        self.rotational = self._value("rotational", 0) == 1
        self.gives_space_back = self._value("discard_max_bytes", 0) > 0 and self._value("write_zeroes_max_bytes", 0) > 0
        """Whether a hole can be punched: the kernel does that only where the device then promises zeroes."""

    def _value(self, name: str, default: int) -> int:
        try:
            return int((self._queue / name).read_text())
        except (OSError, ValueError):
            return default
