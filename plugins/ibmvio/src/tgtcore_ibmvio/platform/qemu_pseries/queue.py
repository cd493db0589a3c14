"""A client's command/response queue: 16-byte slots in the guest's own memory, written from here (LoPAR 17.2.3.1)."""

from collections.abc import Iterator
from contextlib import contextmanager

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES
from tgtcore_ibmvio.platform.qemu_pseries.window import Access, Window

_OVERWRITTEN = 3, 0x20
"""The byte that says so, and what it says, when an event takes the place of an element."""

_COUNT, _QEMU_COUNT = 2, 3


class ClientQueue:
    """A queue that the guest has registered.

    Both QEMU and we put elements into it, QEMU without knowing of ours: only where :meth:`reserved` lets it.

    :param kept: where its numbers are kept: the I/O address of the first slot, the length of all slots together in bytes, how many
        elements have been put, and how many QEMU believes to be there.
    """

    def __init__(self, window: Window, kept: "memoryview[int]") -> None:
        self._window = window
        self._kept = kept
        self._address, length, *_ = kept
        self._slots = length // ELEMENT_BYTES
        self.announced = True
        """Whether the guest has been interrupted since the newest element was put."""

    def put(self, element: bytes) -> bool:
        """Add an element; False: the next slot is not free, or is no longer the guest's to be written."""
        slot = self._slot(self._kept[_COUNT])
        if slot is None or slot[0]:
            return False
        # The guest runs meanwhile: the first byte makes the slot valid, so it comes last.
        slot[1:] = element[1:]
        slot[0] = element[0]
        self._kept[_COUNT] += 1
        self.announced = False
        return True

    def put_event(self, event: bytes) -> None:
        """Add a transport event, in a full queue in the place of the newest element."""
        if self.put(event):
            return
        slot = self._slot(self._kept[_COUNT] - 1)
        if slot is not None:
            at, value = _OVERWRITTEN
            slot[1:] = event[1:at] + bytes([value]) + event[at + 1 :]
            slot[0] = event[0]
            self.announced = False

    @property
    def unread(self) -> bool:
        """Whether the guest has still to take out the newest element."""
        slot = self._slot(self._kept[_COUNT] - 1) if self._kept[_COUNT] else None
        return slot is not None and slot[0] != 0

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """While the guest stands still: QEMU's next slot is free for one element of its own, of which nothing is left then."""
        slot = self._slot(self._kept[_QEMU_COUNT])
        kept = bytes(slot) if slot is not None else b""
        if slot is not None:
            slot[0] = 0
        try:
            yield
        finally:
            if slot is not None:
                if slot[0]:
                    self._kept[_QEMU_COUNT] += 1
                slot[:] = kept

    def _slot(self, number: int) -> memoryview | None:
        address = self._address + number % self._slots * ELEMENT_BYTES
        views = self._window.views(address, ELEMENT_BYTES, Access.WRITE)
        return views[0] if views else None
