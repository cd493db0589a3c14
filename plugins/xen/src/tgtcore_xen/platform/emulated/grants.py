"""Grants of emulated guests: what they let others use, and how the back end uses it."""

import errno
import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tgtcore import Region
from tgtcore_xen.platform.contract import PAGE_BYTES, Channel, Copy, Grants, Shown
from tgtcore_xen.platform.emulated.channels import End
from tgtcore_xen.platform.emulated.faults import Faults
from tgtcore_xen.platform.emulated.memory import GuestMemory, detach

FIRST_REFERENCE = 8
"""Those below are reserved."""
REFERENCES_MAX = 1 << 14
STAGING_BYTES = 1 << 18
"""How much memory is lent for copies."""


@dataclass
class Entry:
    """One grant.

    :param page: number of the page in the guest's memory.
    :param to: who may use it.
    """

    page: int
    to: int
    read_only: bool
    mapped: int = 0
    """How often it is mapped now."""
    unused: Callable[[], None] | None = None
    """Called when it is not mapped any more."""


class GrantTable:
    """What one guest has granted."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.entries: dict[int, Entry] = {}
        self._free: list[int] = []
        self._next = FIRST_REFERENCE

    def add(self, page: int, to: int, *, read_only: bool) -> int:
        """Grant a page; the reference that was used last is used again first.

        :raises OSError: ENOSPC: the table is full.
        """
        if self._free:
            reference = self._free.pop()
        elif self._next < REFERENCES_MAX:
            reference = self._next
            self._next += 1
        else:
            raise OSError(errno.ENOSPC, "the grant table is full")
        self.entries[reference] = Entry(page, to, read_only)
        return reference

    def end(self, reference: int) -> bool:
        """End a grant, if there is one; False: it is mapped, and goes on."""
        entry = self.entries.get(reference)
        if entry is None:
            return True
        if entry.mapped:
            return False
        self.tear(reference)
        return True

    def tear(self, reference: int) -> None:
        """End a grant whatever is done with it; who has it mapped keeps that."""
        del self.entries[reference]
        self._free.append(reference)


class EmulatedMapping:
    """See :class:`~tgtcore_xen.platform.contract.Mapping`."""

    def __init__(self, page: mmap.mmap, entry: Entry, closed: "Callable[[EmulatedMapping], None]") -> None:
        self.view = memoryview(page)
        self._page = page
        self._entry = entry
        self._closed = closed
        self._open = True
        self._channel: End | None = None
        entry.mapped += 1

    def wake_at_end(self, channel: Channel) -> None:
        """See the contract."""
        assert isinstance(channel, End)
        self._channel = channel

    def close(self) -> None:
        """Unmap it; idempotent.

        :raises BufferError: somebody still has a part of the view.
        """
        if self._open:
            self._leave()
            self.view.release()
            self._page.close()

    def detach(self) -> None:
        """Unmap it although views of it are in use: they show other memory from here on."""
        if self._open:
            self._leave()
            detach(self._page)

    def _leave(self) -> None:
        self._open = False
        entry = self._entry
        entry.mapped -= 1
        self._closed(self)
        if self._channel is not None:
            self._channel.wake_other()
        if not entry.mapped and entry.unused is not None:
            entry.unused()


def _found(region: Region) -> bytes | None:
    """A piece of a file; None: there is less of it, or it can't be read."""
    try:
        data = os.pread(region.fd, region.length, region.offset)
    except OSError:
        return None
    return data if len(data) == region.length else None


class EmulatedGrants(Grants):
    """What one domain does with the grants of others.

    :param tables: by domid.
    """

    def __init__(self, domid: int, tables: dict[int, GrantTable], faults: Faults) -> None:
        self._domid = domid
        self._tables = tables
        self._faults = faults
        self._staging = memoryview(bytearray(STAGING_BYTES))
        self._lent_bytes = 0
        self.mappings: dict[EmulatedMapping, None] = {}
        """Those that are open."""
        self.copies = 0
        """How often :meth:`copy` was called."""
        self.pieces = 0
        """How many pieces it was given in all."""

    def map(self, domid: int, reference: int) -> EmulatedMapping:
        """See :class:`Grants`."""
        table, entry = self._find(domid, reference)
        if table is None or entry is None or self._faults.map_fails(domid, reference):
            raise OSError(errno.EINVAL, f"guest {domid} grants nothing to domain {self._domid} as {reference}")
        if entry.read_only:
            raise OSError(errno.EACCES, f"guest {domid} grants {reference} for reading only")
        mapping = EmulatedMapping(table.memory.map(entry.page), entry, self._left)
        self.mappings[mapping] = None
        return mapping

    def _left(self, mapping: EmulatedMapping) -> None:
        del self.mappings[mapping]

    def _find(self, domid: int, reference: int) -> tuple[GrantTable | None, Entry | None]:
        table = self._tables.get(domid)
        entry = table.entries.get(reference) if table else None
        return table, entry if entry and entry.to == self._domid else None

    def room(self, length: int) -> memoryview | None:
        """See :class:`Grants`."""
        start, end = self._lent_bytes, self._lent_bytes + length
        if end > STAGING_BYTES:
            return None
        self._lent_bytes = end
        return self._staging[start:end]

    def show(self, region: Region, pieces: Sequence[tuple[int, int, int]]) -> Shown | None:
        """Pieces whose pages are to be pages of the guest."""
        return None if (region.offset - pieces[0][1]) % PAGE_BYTES else Shown(region)

    def copy(self, copies: Sequence[Copy]) -> list[bool]:
        """See :class:`Grants`."""
        lent, self._lent_bytes = self._lent_bytes, 0
        if not copies:
            return []
        self.copies += 1
        done = [self._copy(one) for one in copies]
        self._staging[:lent] = bytes(lent)  # others have it from here on
        return done

    def _copy(self, copy: Copy) -> bool:
        data = _found(copy.memory.region) if isinstance(copy.memory, Shown) else copy.memory
        if data is None:
            return False
        memory = memoryview(data)
        at, end, whole = 0, len(memory), True
        for reference, offset, length in copy.pieces:
            if at == end:
                break
            count = min(length, end - at)
            self.pieces += 1
            view = self._view(copy, reference, offset, count)
            if view is None:
                whole = False
            elif copy.to_guest:
                view[:] = memory[at : at + count]
            else:
                memory[at : at + count] = view
            at += count
        return whole and at == end

    def _view(self, copy: Copy, reference: int, offset: int, count: int) -> memoryview | None:
        table, entry = self._find(copy.domid, reference)
        if table is None or entry is None or (entry.read_only and copy.to_guest):
            return None
        if offset + count > PAGE_BYTES or self._faults.copy_fails(copy.domid, reference):
            return None
        start = entry.page * PAGE_BYTES + offset
        return table.memory.view[start : start + count]
