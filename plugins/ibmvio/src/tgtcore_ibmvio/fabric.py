"""Virtual SCSI as a fabric of SRP: information units and data are copied to and from the client's memory by the platform."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tgtcore_srp.fabric import Fabric, Moved, Segment

from tgtcore import Region
from tgtcore_ibmvio.crq import Queue, srp_element
from tgtcore_ibmvio.options import IU_BYTES_MAX
from tgtcore_ibmvio.platform import Adapter, Hcall

if TYPE_CHECKING:
    from tgtcore_srp.channel import Channel
    from tgtcore_srp.slots import Slot

    from tgtcore import Buffer

_SUCCESS = Hcall.SUCCESS
_VIEWS_MAX = os.sysconf("SC_IOV_MAX")
"""For one system call."""


class VioFabric(Fabric):
    """One connection of a client, from its greeting to its end.

    The handles in memory descriptors mean nothing here: all of them are of the client's one DMA window.

    :param bounce: memory that is used within a call only, of ``adapter.copy_bytes_max``.
    """

    accepts_region = True

    channel: "Channel"
    """Made for this fabric."""

    def __init__(self, adapter: Adapter, queue: Queue, bounce: memoryview) -> None:
        super().__init__(IU_BYTES_MAX, IU_BYTES_MAX, may_request=False)
        self._adapter = adapter
        self._queue = queue
        self._put = queue.send
        self._bounce = bounce
        self._most = adapter.copy_bytes_max

    # ---- information units --------------------------------------------------------------------------------------------

    def receive(self, address: int, length: int) -> None:
        """An information unit is in the client's memory."""
        channel = self.channel
        if not 0 < length <= IU_BYTES_MAX:
            channel.disconnect(f"an information unit of {length} bytes, expected 1 to {IU_BYTES_MAX}")
            return
        free = channel.slots.free
        if not free:
            channel.overrun()
            return
        slot = free.pop()
        answer = self._adapter.read(address, slot.view if length == IU_BYTES_MAX else slot.view[:length])
        if answer is _SUCCESS:
            slot.cookie = address
            channel.receive(slot, length)
        else:
            channel.discard(slot)
            channel.disconnect(f"an information unit at 0x{address:x} can't be read: {answer.name}")

    def send(self, iu: bytes, slot: "Slot") -> None:
        """Put an answer in the place of its request, and tell the client."""
        answer = self._adapter.write(slot.cookie, iu)
        if answer is _SUCCESS:
            self._put(srp_element(len(iu), iu[8:16]), slot)
        else:
            self.channel.disconnect(f"an answer at 0x{slot.cookie:x} can't be written: {answer.name}")

    def disconnect(self) -> None:
        """Have a new queue, of which the client hears."""
        self._queue.reset()

    # ---- data ---------------------------------------------------------------------------------------------------------

    def read(self, segments: Sequence[Segment], into: memoryview, then: Callable[[bool], None]) -> Moved:
        """Copy from the client's memory."""
        copy = self._adapter.read
        if len(segments) == 1 and len(into) <= self._most:
            return copy(segments[0].address, into) is _SUCCESS
        return all(
            copy(address, into[start:end]) is _SUCCESS
            for address, start, end in _pieces(segments, len(into), self._most)
        )

    def write(self, segments: Sequence[Segment], data: "Buffer | Region", then: Callable[[bool], None]) -> Moved:
        """Copy into the client's memory; a region of a file is read there, where the platform has that memory mapped."""
        alone = len(segments) == 1
        if isinstance(data, Region):
            if alone:
                return self._fill(segments[0].address, data)
            return all(self._fill(segment.address, part) for segment, part in _parts(segments, data))
        copy = self._adapter.write
        if alone and len(data) <= self._most:
            return copy(segments[0].address, data) is _SUCCESS
        view = memoryview(data)
        return all(
            copy(address, view[start:end]) is _SUCCESS
            for address, start, end in _pieces(segments, len(view), self._most)
        )

    def _fill(self, address: int, region: Region) -> bool:
        views = self._adapter.views(address, len(region), writable=True)
        if views is not None:
            return _read_in(region, views)
        for start in range(0, len(region), self._most):
            part = region.part(start, min(self._most, len(region) - start))
            piece = self._bounce[: len(part)]
            if not _read_in(part, [piece]) or self._adapter.write(address + start, piece) is not _SUCCESS:
                return False
        return True


def _pieces(segments: Sequence[Segment], length: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Client address, beginning and end in our memory of each copy, for the first so many bytes of the segments."""
    at = 0
    for address, _, size in segments:
        end = min(at + size, length)
        base = address - at
        while at < end:
            upto = min(at + most, end)
            yield base + at, at, upto
            at = upto
        if at == length:
            return


def _parts(segments: Sequence[Segment], region: Region) -> Iterator[tuple[Segment, Region]]:
    at = 0
    for segment in segments:
        length = min(segment.length, len(region) - at)
        if length:
            yield segment, region.part(at, length)
            at += length


def _read_in(region: Region, views: Sequence[memoryview]) -> bool:
    """Read all of a region; False when it can't be, or the file has ended before."""
    fd, at, left = region.fd, region.offset, region.length
    remaining = views
    try:
        while left:
            count = os.preadv(fd, remaining if len(remaining) <= _VIEWS_MAX else remaining[:_VIEWS_MAX], at)
            if count == 0:
                return False
            left -= count
            if left:
                at += count
                remaining = _beyond(remaining, count)
    except OSError:
        return False
    return True


def _beyond(views: Sequence[memoryview], count: int) -> list[memoryview]:
    """What is left of views when the first so many bytes were used."""
    for number, view in enumerate(views):
        if count < len(view):
            return [view[count:], *views[number + 1 :]]
        count -= len(view)
    return []
