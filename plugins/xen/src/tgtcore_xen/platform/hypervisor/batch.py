"""Copies as the kernel wants to be told of them: one segment for each part of a page."""

import mmap
from typing import TYPE_CHECKING

from tgtcore_xen.platform.contract import PAGE_BYTES, Copy, Shown
from tgtcore_xen.platform.hypervisor.addresses import Held
from tgtcore_xen.platform.hypervisor.device import (
    DESTINATION_IS_GUEST,
    SEGMENT_BYTES,
    SEGMENT_FROM_GUEST,
    SEGMENT_TO_GUEST,
    SOURCE_IS_GUEST,
    STATUS_AT,
)
from tgtcore_xen.vscsiif.segments import WholePages

if TYPE_CHECKING:
    from collections.abc import Sequence

SEGMENTS = 4096
"""How many pieces go into one call; the kernel takes any number, and does sixteen with each call of the hypervisor."""

_STAGING_BYTES = 4 * 1024 * 1024
"""Data is copied once more in our memory, to where pages begin: for what lies across a boundary of our pages the kernel asks the
hypervisor twice, and to find out where an object of Python has its memory takes longer than to copy a page."""
_STAGING_PAGES = _STAGING_BYTES // PAGE_BYTES

_UNTOUCHED = 1
_OKAY = bytes(SEGMENTS)
"""One byte of the statuses of segments that are copied."""

_PAGES = 4096
_LOW = bytes(page << 4 & 0xFF for page in range(_PAGES))
_HIGH = bytes(page >> 4 for page in range(_PAGES))
"""The second and the third byte of the addresses of so many pages; the first one is zero."""

_MADE_MAX = 64
_DOMAIN_OF_DESTINATION, _DOMAIN_OF_SOURCE = 14, 6
"""Where a segment has the guest's domain."""

_pack_to, _pack_from = SEGMENT_TO_GUEST.pack_into, SEGMENT_FROM_GUEST.pack_into


class Batch:
    """Copies for one call.  Memory is used again for the next."""

    def __init__(self) -> None:
        self._segments = bytearray(SEGMENTS * SEGMENT_BYTES)
        self._held_segments = Held(self._segments, True)
        self.address = self._held_segments.address
        """Where the segments are."""
        self._bytes = view = memoryview(self._segments)
        self._made: dict[tuple[int, bool], memoryview] = {}
        """Segments of all pages of the staging without references, by domain and direction."""
        self._common: dict[bool, bytes] = {}
        """The same without a domain."""
        self._halves = view.cast("I")
        self._staging = memoryview(mmap.mmap(-1, _STAGING_BYTES))
        self._held_staging = Held(self._staging, True)
        self._staged = 0
        """How much of it is used."""
        self._lent_bytes = 0
        """How much of it, from the beginning, was lent."""
        self._lent: dict[int, tuple[memoryview, int]] = {}
        """What was lent, and where it is, by the view's identity."""
        self._arriving: list[tuple[int, memoryview, int]] = []
        """What comes from guests by way of the staging: number of the copy, where it is to be, and where it comes."""
        self._held: list[Held] = []
        self.ends: list[int | None] = []
        """Of each copy, the number of the first segment that is not its own; None: it can't be described, and has none."""
        self.end = 0
        """How many segments there are."""

    def close(self) -> None:
        """Once."""
        self._held_segments.release()
        self._held_staging.release()

    def lend(self, length: int) -> memoryview | None:
        """A part of the staging, whose content is not copied there again, until it is taken back; None: there is no more.

        Only between calls.
        """
        at = self._lent_bytes
        end = at + length
        if end > _STAGING_BYTES:
            return None
        view = self._staging[at:end]
        self._lent[id(view)] = view, at
        self._lent_bytes = self._staged = -(-end // PAGE_BYTES) * PAGE_BYTES
        return view

    def take_back(self) -> None:
        """Let others have what was lent."""
        self._lent.clear()
        self._lent_bytes = self._staged = 0

    def add(self, copy: Copy) -> bool:
        """Describe one more; False: there is no room for it beside what there is."""
        count = len(copy[2])
        if self.end and self.end + count > SEGMENTS:
            return False
        self.ends.append(self.end if self._described(copy, count) else None)
        return True

    def _described(self, copy: Copy, count: int) -> bool:
        """False: its pieces are no pieces of pages, or its memory is none."""
        domid, to_guest, pieces, memory = copy
        if isinstance(memory, Shown):
            return self._described_file(domid, pieces, memory, count)
        try:
            view = memory if isinstance(memory, memoryview) else memoryview(memory)
        except TypeError:
            return False
        length = view.nbytes
        if not view.contiguous or (view.readonly and not to_guest) or count > SEGMENTS:
            return False
        if type(pieces) is WholePages and length == count * PAGE_BYTES:
            at = self._stage(view, 0, to_guest=to_guest)
            if at is not None:
                self._describe_pages(domid, to_guest, pieces.records, at // PAGE_BYTES, count)
                return True
        parts = _parts(pieces, length)
        if parts is None:
            return False
        address = self._address(view, parts[0][1], to_guest=to_guest) if parts else 0
        self._describe_parts(domid, to_guest, parts, address)
        return True

    def _described_file(self, domid: int, pieces: "Sequence[tuple[int, int, int]]", shown: Shown, count: int) -> bool:
        """Describe what of a file goes to a guest."""
        address, length = shown.address, shown.region.length
        if type(pieces) is WholePages and length == count * PAGE_BYTES and count <= SEGMENTS:
            first = address // PAGE_BYTES % _PAGES
            if first + count <= _PAGES:
                self._describe_pages_of_file(domid, pieces.records, address, first, count)
                return True
        parts = None if count > SEGMENTS else _parts(pieces, length)
        if parts is None:
            return False
        self._describe_parts(domid, True, parts, address)
        return True

    def _describe_parts(
        self, domid: int, to_guest: bool, parts: "Sequence[tuple[int, int, int]]", address: int
    ) -> None:
        """Describe one after the other, for which there is memory from an address on."""
        segments, at = self._segments, self.end * SEGMENT_BYTES
        for reference, offset, part in parts:
            if to_guest:
                _pack_to(segments, at, address, reference, offset, domid, part, DESTINATION_IS_GUEST, _UNTOUCHED)
            else:
                _pack_from(segments, at, reference, offset, domid, address, part, SOURCE_IS_GUEST, _UNTOUCHED)
            at += SEGMENT_BYTES
            address += part
        self.end = at // SEGMENT_BYTES

    def _stage(self, view: memoryview, offset: int, *, to_guest: bool) -> int | None:
        """The place of memory in the staging, as far behind the beginning of a page as ``offset``; None: there is no room."""
        lent = self._lent.get(id(view))
        if lent is not None:
            return lent[1]
        at = (self._staged + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES + offset
        end = at + view.nbytes
        if end > _STAGING_BYTES:
            return None
        self._staged = end
        if to_guest:
            self._staging[at:end] = view
        else:
            self._arriving.append((len(self.ends), view, at))
        return at

    def _address(self, view: memoryview, offset: int, *, to_guest: bool) -> int:
        """Where the kernel finds or leaves what is in some memory, which stays there until the call is over."""
        at = self._stage(view, offset, to_guest=to_guest)
        if at is not None:
            return self._held_staging.address + at
        held = Held(view, not to_guest)
        self._held.append(held)
        return held.address

    def _describe_pages(self, domid: int, to_guest: bool, records: bytes, first: int, count: int) -> None:
        """Describe whole pages that are in the staging from one of its pages on: all but the references is made already."""
        start = self.end
        self.end = end = start + count
        alike = self._made.get((domid, to_guest)) or self._make(domid, to_guest)
        self._bytes[start * SEGMENT_BYTES : end * SEGMENT_BYTES] = alike[
            first * SEGMENT_BYTES : (first + count) * SEGMENT_BYTES
        ]
        self._refer(start, end, records, 2 if to_guest else 0)

    def _describe_pages_of_file(self, domid: int, records: bytes, address: int, first: int, count: int) -> None:
        """Describe whole pages of a file.  Their addresses differ in two bytes only.

        :param first: the number of the first one beyond an address whose lowest three bytes are zero.
        """
        start = self.end
        self.end = end = start + count
        begin = address - first * PAGE_BYTES
        one = SEGMENT_TO_GUEST.pack(begin, 0, 0, domid, PAGE_BYTES, DESTINATION_IS_GUEST, _UNTOUCHED)
        segments, at, stop = self._segments, start * SEGMENT_BYTES, end * SEGMENT_BYTES
        segments[at:stop] = one * count
        segments[at + 1 : stop : SEGMENT_BYTES] = _LOW[first : first + count]
        segments[at + 2 : stop : SEGMENT_BYTES] = _HIGH[first : first + count]
        self._refer(start, end, records, 2)

    def _refer(self, start: int, end: int, records: bytes, at: int) -> None:
        """Set the references of whole pages.

        :param at: which word of a segment they are.
        """
        step = SEGMENT_BYTES // 4
        self._halves[start * step + at : end * step : step] = memoryview(records).cast("I")[::2]

    def _make(self, domid: int, to_guest: bool) -> memoryview:
        if len(self._made) >= _MADE_MAX:
            self._made.clear()
        made = bytearray(self._common.get(to_guest) or self._make_common(to_guest))
        at = _DOMAIN_OF_DESTINATION if to_guest else _DOMAIN_OF_SOURCE
        for number, byte in enumerate(domid.to_bytes(2, "little")):
            made[at + number :: SEGMENT_BYTES] = bytes((byte,)) * _STAGING_PAGES
        self._made[domid, to_guest] = whole = memoryview(made)
        return whole

    def _make_common(self, to_guest: bool) -> bytes:
        start = self._held_staging.address
        addresses = range(start, start + _STAGING_BYTES, PAGE_BYTES)
        if to_guest:
            end = (0, 0, 0, PAGE_BYTES, DESTINATION_IS_GUEST, _UNTOUCHED)
            made = [SEGMENT_TO_GUEST.pack(address, *end) for address in addresses]
        else:
            made = [
                SEGMENT_FROM_GUEST.pack(0, 0, 0, address, PAGE_BYTES, SOURCE_IS_GUEST, _UNTOUCHED)
                for address in addresses
            ]
        self._common[to_guest] = whole = b"".join(made)
        return whole

    def is_done(self, start: int, end: int) -> bool:
        """Whether the kernel has said of all segments of a range that they are copied."""
        segments, stop, okay = self._segments, end * SEGMENT_BYTES, _OKAY[: end - start]
        at = start * SEGMENT_BYTES + STATUS_AT
        return segments[at:stop:SEGMENT_BYTES] == okay and segments[at + 1 : stop : SEGMENT_BYTES] == okay

    def arrive(self, done: "Sequence[bool]") -> None:
        """Put what has come from guests where it is to be."""
        staging = self._staging
        for number, view, at in self._arriving:
            if done[number]:
                view[:] = staging[at : at + view.nbytes]

    def clear(self) -> None:
        """Let go of everybody's memory."""
        for held in self._held:
            held.release()
        self._held.clear()
        self._arriving.clear()
        self.ends.clear()
        self.end = 0
        self._staged = self._lent_bytes


def _parts(pieces: "Sequence[tuple[int, int, int]]", length: int) -> "Sequence[tuple[int, int, int]] | None":
    """As much of the pieces as holds so many bytes; None: they have no room for it, or are no parts of pages."""
    if len(pieces) == 1:  # what most commands have
        ((reference, offset, room),) = pieces
        if 0 < length <= room and 0 <= offset <= PAGE_BYTES - length:
            return pieces if length == room else ((reference, offset, length),)
    parts = []
    for reference, offset, room in pieces:
        part = room if room < length else length
        if not 0 <= offset <= PAGE_BYTES - part or part < 0:
            return None
        if part:
            parts.append((reference, offset, part))
            length -= part
    return None if length else parts
