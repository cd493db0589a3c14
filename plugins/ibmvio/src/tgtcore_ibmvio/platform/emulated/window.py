"""The DMA window of a client partition: which of its memory the server reaches at which address, and what it may do there.

The table has one word for each page of the window, a translation control entry (LoPAR 7.5.3): the offset of a page in the
partition's memory, and two bits of permission.  It lies in shared memory, and the partition writes it as it likes: an entry is good
for what it says when it is read, and for nothing beyond the partition's memory.
"""

from array import array
from enum import IntEnum

from tgtcore_ibmvio.platform.emulated.wire import PAGE_BYTES

PAGE_SHIFT = PAGE_BYTES.bit_length() - 1
WITHIN = PAGE_BYTES - 1
"""The bits of an address or of an offset that say where it is in its page."""
PAGE = ~WITHIN
"""The bits of an entry that say where the page begins in the partition's memory."""


class Access(IntEnum):
    """What the server may do with a page: the low bits of its entry.  No IntFlag, whose operators take their time."""

    NONE = 0
    READ = 1
    WRITE = 2
    BOTH = 3


class OutsideError(Exception):
    """An address is not in the window."""


class AccessError(Exception):
    """A page is not mapped, or not for this."""


class Window:
    """A DMA window.

    :param start: its lowest address.
    :param table: its entries.
    :param memory_bytes: size of the partition's memory, in whole pages.
    :ivar size: bytes of the window.
    """

    def __init__(self, start: int, table: memoryview, memory_bytes: int) -> None:
        self.start = start
        self.size = len(table) * PAGE_BYTES
        self.table = table
        self.memory_bytes = memory_bytes
        self._end = start + self.size

    def places(self, address: int, length: int, access: Access) -> list[tuple[int, int]]:
        """Where in the partition's memory something is: pieces with their begin and end, as few as there can be.

        :param access: one kind or both.
        :raises OutsideError: not all of it is in the window, or it is nothing.
        :raises AccessError: not all of it may be used so.
        """
        if length <= 0 or not self.start <= address <= self._end - length:
            raise OutsideError
        offset = address - self.start
        page, within = offset >> PAGE_SHIFT, offset & WITHIN
        end = within + length
        if end <= PAGE_BYTES:
            begin = self._page(self.table[page], access) + within
            return [(begin, begin + length)]
        pages = -(-end // PAGE_BYTES)
        return self._pieces(self.table[page : page + pages].tolist(), within, length, access)

    def _page(self, entry: int, access: Access) -> int:
        if entry & access != access or entry >= self.memory_bytes:
            raise AccessError
        return entry & PAGE

    def _pieces(self, entries: list[int], within: int, length: int, access: Access) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        begin = self._page(entries[0], access) + within
        if entries == list(range(entries[0], entries[0] + len(entries) * PAGE_BYTES, PAGE_BYTES)):
            self._page(entries[-1], access)
            return [(begin, begin + length)]
        end = begin - within + PAGE_BYTES
        left = length - (end - begin)
        for entry in entries[1:]:
            page = self._page(entry, access)
            if page != end:
                found.append((begin, end))
                begin = page
            end = page + min(left, PAGE_BYTES)
            left -= PAGE_BYTES
        found.append((begin, end))
        return found

    def map(self, address: int, offset: int, length: int, access: Access) -> None:
        """H_PUT_TCE for a range: the server reaches so much of the memory, from an offset on, at an address.

        :raises ValueError: these are no pages of the window and of the memory.
        """
        if offset < 0 or offset % PAGE_BYTES or offset + length > self.memory_bytes:
            raise ValueError(f"{length} bytes at offset {offset} are no pages of the memory")
        page, pages = self._range(address, length)
        first = offset | access
        self.table[page : page + pages] = array("Q", range(first, first + length, PAGE_BYTES))

    def unmap(self, address: int, length: int) -> None:
        """The server reaches nothing there any more; what it has begun may still go on.

        :raises ValueError: these are no pages of the window.
        """
        page, pages = self._range(address, length)
        self.table[page : page + pages] = array("Q", bytes(pages * 8))

    def _range(self, address: int, length: int) -> tuple[int, int]:
        page, within = divmod(address - self.start, PAGE_BYTES)
        pages, rest = divmod(length, PAGE_BYTES)
        if within or rest or page < 0 or length <= 0 or address + length > self._end:
            raise ValueError(f"{length} bytes at address {address:#x} are no pages of the DMA window")
        return page, pages
