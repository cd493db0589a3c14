"""Grants through ``/dev/xen/gntdev``."""

import errno
import mmap
from collections.abc import Sequence
from typing import NamedTuple

from tgtcore_xen.platform.contract import PAGE_BYTES, Copy, Grants, Mapping
from tgtcore_xen.platform.hypervisor.addresses import Held
from tgtcore_xen.platform.hypervisor.device import (
    COPY,
    COPY_SEGMENTS,
    DESTINATION_IS_GUEST,
    MAP,
    MAP_REFERENCES,
    SEGMENT_FROM_GUEST,
    SEGMENT_TO_GUEST,
    SOURCE_IS_GUEST,
    STATUS_AT,
    UNMAP,
    UNMAP_REFERENCES,
    Device,
)

SEGMENTS = 4096
"""How many pieces go into one call; the kernel takes any number, and does sixteen with each call of the hypervisor."""

_SEGMENT_BYTES = 24
_UNTOUCHED = 1


class DeviceGrants(Grants):
    """See the contract.

    :param device: ``/dev/xen/gntdev``.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._segments = bytearray(SEGMENTS * _SEGMENT_BYTES)
        self._held_segments = Held(self._segments, True)
        self.calls = 0
        """How many calls of the system have copied."""

    def close(self) -> None:
        """Once."""
        self._held_segments.release()
        self._device.close()

    def map(self, domid: int, reference: int) -> Mapping:
        """Have a guest's page in our memory."""
        argument = bytearray(MAP_REFERENCES.pack(1, 0, domid, reference))
        self._device.call(MAP, argument)
        index = MAP_REFERENCES.unpack(argument)[1]
        try:
            # Only now the hypervisor is asked.
            return _Mapping(self._device, index, self._device.map(index, PAGE_BYTES))
        except OSError as error:
            self._device.call(UNMAP, bytearray(UNMAP_REFERENCES.pack(index, 1)))
            raise OSError(error.errno, f"domain {domid} grants us no page by reference {reference}") from error

    def copy(self, copies: Sequence[Copy]) -> list[bool]:
        """Move data, with one call for :data:`SEGMENTS` pieces."""
        done = [False] * len(copies)
        batch: list[_Placed] = []
        end = 0
        for number, copy in enumerate(copies):
            need = len(copy.pieces) * _SEGMENT_BYTES
            if end and end + need > len(self._segments):
                self._run(batch, end, done)
                batch, end = [], 0
            placed = self._place(number, copy, end) if need <= len(self._segments) else None
            if placed is not None:
                batch.append(placed)
                end = placed.end
        self._run(batch, end, done)
        return done

    def _place(self, number: int, copy: Copy, start: int) -> "_Placed | None":
        """Describe a copy's pieces to the kernel; None: they are no pieces of pages, or its memory is none."""
        try:
            held = Held(copy.memory, not copy.to_guest)
        except BufferError:
            return None
        segments, domid = self._segments, copy.domid
        address, left = held.address, held.length
        at = start
        pack_to, pack_from = SEGMENT_TO_GUEST.pack_into, SEGMENT_FROM_GUEST.pack_into
        to_guest = copy.to_guest
        for reference, offset, length in copy.pieces:
            if length > left:
                length = left
            if not 0 <= offset <= PAGE_BYTES - length or length < 0:
                held.release()
                return None
            if not length:
                continue
            if to_guest:
                pack_to(segments, at, address, reference, offset, domid, length, DESTINATION_IS_GUEST, _UNTOUCHED)
            else:
                pack_from(segments, at, reference, offset, domid, address, length, SOURCE_IS_GUEST, _UNTOUCHED)
            at += _SEGMENT_BYTES
            address += length
            left -= length
        if left:  # the guest has no room for all of it
            held.release()
            return None
        return _Placed(number, copy, held, start, at)

    def _run(self, batch: "Sequence[_Placed]", end: int, done: list[bool]) -> None:
        """Let the kernel do what is described up to ``end``."""
        try:
            if self._call(0, end):
                for placed in batch:
                    done[placed.number] = self._all_done(placed.start, placed.end)
            else:
                # It stopped at one of them, and does not say where.  Doing one twice does no harm.
                for placed in batch:
                    done[placed.number] = self._call(placed.start, placed.end) and self._all_done(
                        placed.start, placed.end
                    )
        finally:
            for placed in batch:
                placed.held.release()

    def _call(self, start: int, end: int) -> bool:
        if start == end:
            return True
        self.calls += 1
        count = (end - start) // _SEGMENT_BYTES
        try:
            self._device.call(COPY, bytearray(COPY_SEGMENTS.pack(count, self._held_segments.address + start)))
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
            return False
        return True

    def _all_done(self, start: int, end: int) -> bool:
        low = self._segments[start + STATUS_AT : end : _SEGMENT_BYTES]
        high = self._segments[start + STATUS_AT + 1 : end : _SEGMENT_BYTES]
        return not (any(low) or any(high))


class _Placed(NamedTuple):
    """A copy that the kernel has been told of."""

    number: int
    copy: Copy
    held: Held
    start: int
    end: int


class _Mapping:
    """A page of a guest."""

    def __init__(self, device: Device, index: int, memory: mmap.mmap) -> None:
        self._device = device
        self._index = index
        self._memory = memory
        self.view = memoryview(memory)

    def close(self) -> None:
        """Unmap it."""
        if self._memory.closed:
            return
        self.view.release()
        self._memory.close()
        self._device.call(UNMAP, bytearray(UNMAP_REFERENCES.pack(self._index, 1)))
