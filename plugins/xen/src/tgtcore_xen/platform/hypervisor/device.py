"""Devices of Linux that pass calls on to the hypervisor, and the numbers of those calls.

Structures: ``include/uapi/xen/gntdev.h``, ``gntalloc.h`` and ``evtchn.h`` of Linux.
"""

import fcntl
import mmap
import os
import struct
from pathlib import Path


def _number(kind: str, number: int, size: int) -> int:
    """``_IOC(_IOC_NONE, kind, number, size)``."""
    return size << 16 | ord(kind) << 8 | number


MAP_REFERENCES = struct.Struct("<I4xQII")
"""``ioctl_gntdev_map_grant_ref`` of one reference: count, index (answered), and of the grant domain and reference."""
MAP = _number("G", 0, 24)

UNMAP_REFERENCES = struct.Struct("<QI4x")
"""``ioctl_gntdev_unmap_grant_ref``: index, count."""
UNMAP = _number("G", 1, 16)

UNMAP_NOTIFICATION = struct.Struct("<QII")
"""``ioctl_gntdev_unmap_notify``: index, action, our port."""
NOTIFY_AT_UNMAP = _number("G", 7, 16)
SEND_EVENT = 2
"""Action (``UNMAP_NOTIFY_SEND_EVENT``): wake up who is at the other end of the port."""

COPY_SEGMENTS = struct.Struct("<I4xQ")
"""``ioctl_gntdev_grant_copy``: count, address of the segments."""
COPY = _number("G", 8, 16)

SEGMENT_BYTES = 24
SEGMENT_FROM_GUEST = struct.Struct("<IHHQHHh2x")
"""``gntdev_grant_copy_segment``: reference, offset, domain; address; length, flags, status (answered)."""
SEGMENT_TO_GUEST = struct.Struct("<QIHHHHh2x")
"""The same the other way: address; reference, offset, domain; length, flags, status (answered)."""
SOURCE_IS_GUEST = 1
DESTINATION_IS_GUEST = 2
"""Flags (``GNTCOPY_source_gref``, ``GNTCOPY_dest_gref``)."""
STATUS_AT = 20
"""Where a segment has its status: 0 (``GNTST_okay``) or a negative number."""

ENDS = struct.Struct("<II")
"""``ioctl_evtchn_bind_interdomain``: the domain and its port.  The call returns our port."""
BIND = _number("E", 1, 8)

PORT = struct.Struct("<I")
"""``ioctl_evtchn_unbind``, ``ioctl_evtchn_notify``; also what is read of the device and written to it."""
UNBIND = _number("E", 3, 4)
NOTIFY = _number("E", 4, 4)
RESET = _number("E", 5, 0)


class Device:
    """An open device.

    :raises OSError: it can't be opened; the message names it.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def call(self, request: int, argument: bytearray) -> int:
        """``ioctl``, which may change the argument; what it returns.

        :raises OSError: the kernel refuses.
        """
        return int(fcntl.ioctl(self.descriptor, request, argument, True))

    def map(self, index: int, length: int) -> mmap.mmap:
        """Memory behind the device, which can be read and written."""
        return mmap.mmap(self.descriptor, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=index)

    def read(self, length: int) -> bytes:
        """What it has to say; BlockingIOError: nothing now."""
        return os.read(self.descriptor, length)

    def write(self, data: bytes) -> None:
        """Answer it."""
        os.write(self.descriptor, data)

    def close(self) -> None:
        """Idempotent."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
