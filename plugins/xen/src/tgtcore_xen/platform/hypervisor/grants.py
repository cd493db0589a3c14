"""Grants through ``/dev/xen/gntdev``."""

import errno
import mmap
import os
from collections.abc import Iterable, Sequence

from tgtcore import OpenFile, Region
from tgtcore_xen.platform.contract import PAGE_BYTES, Channel, Copy, Grants, Mapping, Shown
from tgtcore_xen.platform.hypervisor.batch import Batch
from tgtcore_xen.platform.hypervisor.device import (
    COPY,
    COPY_SEGMENTS,
    MAP,
    MAP_REFERENCES,
    NOTIFY_AT_UNMAP,
    SEGMENT_BYTES,
    SEND_EVENT,
    UNMAP,
    UNMAP_NOTIFICATION,
    UNMAP_REFERENCES,
    Device,
)
from tgtcore_xen.platform.hypervisor.files import Files
from tgtcore_xen.vscsiif.segments import WholePages


class DeviceGrants(Grants):
    """See the contract.

    :param device: ``/dev/xen/gntdev``.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._batch = Batch()
        self._files = Files()
        self._argument = bytearray(COPY_SEGMENTS.size)
        self.calls = 0
        """How many calls of the system have copied."""

    def close(self) -> None:
        """Once."""
        self._batch.close()
        self._files.close()
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

    def room(self, length: int) -> memoryview | None:
        """A part of the staging."""
        return self._batch.lend(length)

    def show(self, region: Region, pieces: Sequence[tuple[int, int, int]]) -> Shown | None:
        """A mapped piece, if its pages are to be pages of the guest: otherwise each would be copied in two steps."""
        offset = 0 if type(pieces) is WholePages else pieces[0][1]
        return None if (region.offset - offset) % PAGE_BYTES else self._files.find(region)

    def copy(self, copies: Sequence[Copy]) -> list[bool]:
        """Move data, with one call for :data:`~tgtcore_xen.platform.hypervisor.batch.SEGMENTS` pieces."""
        batch, done = self._batch, []
        try:
            for copy in copies:
                if not batch.add(copy):
                    done += self._run()
                    batch.add(copy)
            done += self._run()
        finally:
            batch.take_back()
        shown = [number for number, copy in enumerate(copies) if isinstance(copy[3], Shown)]
        if shown:
            self._look_at_ends(copies, shown, done)
        return done

    def _look_at_ends(self, copies: Sequence[Copy], shown: Iterable[int], done: list[bool]) -> None:
        """Of a file that has become shorter the kernel has zeroes behind its end, as far as the page goes that has the end."""
        ends: dict[OpenFile, int] = {}
        for number in shown:
            region = copies[number].memory.region  # type: ignore[union-attr]
            file = region.file
            end = ends.get(file)
            if end is None:
                end = ends[file] = os.lseek(file.fd, 0, os.SEEK_END)
            if region.offset + region.length > end:
                done[number] = False
            if not done[number]:
                self._files.forget(file)

    def _run(self) -> list[bool]:
        """Let the kernel do what is described; which of it was done."""
        batch = self._batch
        ends, end = batch.ends, batch.end
        try:
            whole = self._call(0, end)
            if whole and None not in ends and batch.is_done(0, end):
                done = [True] * len(ends)
            else:
                # Where it stopped at one of them it does not say at which.  Doing one twice does no harm.
                done, start = [], 0
                for one in ends:
                    done.append(one is not None and (whole or self._call(start, one)) and batch.is_done(start, one))
                    start = start if one is None else one
            batch.arrive(done)
            return done
        finally:
            batch.clear()

    def _call(self, start: int, end: int) -> bool:
        if start == end:
            return True
        self.calls += 1
        argument = self._argument
        COPY_SEGMENTS.pack_into(argument, 0, end - start, self._batch.address + start * SEGMENT_BYTES)
        try:
            self._device.call(COPY, argument)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
            return False
        return True


class _Mapping:
    """A page of a guest."""

    def __init__(self, device: Device, index: int, memory: mmap.mmap) -> None:
        self._device = device
        self._index = index
        self._memory = memory
        self.view = memoryview(memory)

    def wake_at_end(self, channel: Channel) -> None:
        """Have the kernel notify when the page is unmapped."""
        self._device.call(NOTIFY_AT_UNMAP, bytearray(UNMAP_NOTIFICATION.pack(self._index, SEND_EVENT, channel.port)))

    def close(self) -> None:
        """Unmap it."""
        if self._memory.closed:
            return
        self.view.release()
        self._memory.close()
        self._device.call(UNMAP, bytearray(UNMAP_REFERENCES.pack(self._index, 1)))
