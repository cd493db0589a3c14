"""A DMA window: the guest's memory as an adapter's I/O addresses reach it, with what each may be used for (LoPAR 14.5.4, TCEs)."""

from collections.abc import Iterable, Sequence
from enum import IntFlag

WINDOW_BYTES = 256 << 20
"""What QEMU gives an adapter for virtual SCSI; its window begins at address 0."""

PAGE_BYTES = 4096
PAGES = WINDOW_BYTES // PAGE_BYTES
_OFFSET = PAGE_BYTES - 1


class Access(IntFlag):
    """The low bits of a translation control entry: what the adapter may do."""

    READ = 1
    WRITE = 2


class Window:
    """The translations of one window, and the memory behind.

    :param memory: the guest's memory from real address 0 on.
    :param entries: where the entries are kept, a number of 64 bits for each page.
    """

    def __init__(self, memory: memoryview, entries: "memoryview[int]") -> None:
        self._memory = memory
        self._entries = entries

    # ---- the guest's calls -----------------------------------------------------------------------------------------------

    def put(self, address: int, entry: int) -> None:
        """H_PUT_TCE."""
        self._put(address, (entry,))

    def stuff(self, address: int, entry: int, count: int) -> None:
        """H_STUFF_TCE: the same entry for several pages."""
        if count <= PAGES:
            self._put(address, (entry,) * count)

    def put_listed(self, address: int, table: int, count: int) -> None:
        """H_PUT_TCE_INDIRECT: entries from a page of the guest's memory at a real address."""
        if count <= PAGE_BYTES // 8 and table + 8 * count <= len(self._memory):
            listed = self._memory[table : table + 8 * count]
            self._put(address, (int.from_bytes(listed[at : at + 8], "big") for at in range(0, len(listed), 8)))

    def _put(self, address: int, entries: Iterable[int]) -> None:
        """Outside of the window nothing is kept, as the hypervisor refuses such a call."""
        for page, entry in enumerate(entries, address // PAGE_BYTES):
            if page < PAGES:
                self._entries[page] = entry

    # ---- the memory ------------------------------------------------------------------------------------------------------

    def views(self, address: int, length: int, access: Access) -> Sequence[memoryview] | None:
        """The memory at an I/O address in as few pieces as it has; None: not all of it may be used like this."""
        if address + length > WINDOW_BYTES:
            return None
        pieces: list[tuple[int, int]] = []
        end = address + length
        while address < end:
            entry = self._entries[address // PAGE_BYTES]
            real = (entry & ~_OFFSET) + (address & _OFFSET)
            piece = min(end - address, PAGE_BYTES - (address & _OFFSET))
            if not entry & access or real + piece > len(self._memory):
                return None
            if pieces and sum(pieces[-1]) == real:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + piece)
            else:
                pieces.append((real, piece))
            address += piece
        return [self._memory[real : real + piece] for real, piece in pieces]
