"""Pages of a hostile guest: granted, granted for reading, torn, for somebody else; with tables of segments that lie."""

import struct
from random import Random

from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.layout import SEGMENT_BYTES, SEGMENTS

PAGES = 48
_RECORD = struct.Struct("<IHH")
_WILD_REFERENCES = (0, 1, 7, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 16)
_EDGES = (0, 1, 7, 8, 9, 511, 512, 4088, 4095, 4096, 4097, 65535)


class HostileMemory:
    """The same pages are used by everything that is asked for, at the same time.

    The first eight references are tables of segments, the next thirty data, and the others what a back end can't use.
    """

    def __init__(self, guest: EmulatedGuest, random: Random) -> None:
        self._guest = guest
        self._random = random
        self._pages = [guest.page() for _ in range(PAGES)]
        self.greedy = random.random() < 0.3
        """Whether its commands want as much as they can."""
        self.grant()
        for number in range(8):
            self._fill(number)

    def grant(self) -> None:
        """Grant all of it, at the beginning and when the guest has another domain."""
        guest = self._guest
        self.tables = [guest.grant(page) for page in self._pages[:8]]
        self.data = [guest.grant(page) for page in self._pages[8:38]]
        self._odd = [guest.grant(page, read_only=True) for page in self._pages[38:42]]
        self._odd += [guest.grant(page, to=guest.domid) for page in self._pages[42:46]]
        self._torn: list[int] = []

    def reference(self) -> int:
        """Mostly a good one."""
        chance = self._random.random()
        if chance < 0.93:
            return self._random.choice(self.data)
        return self._random.choice(self._odd if chance < 0.97 else _WILD_REFERENCES)

    def segment(self) -> tuple[int, int, int]:
        """Mostly a good one."""
        if self._random.random() < 0.03:
            return self.reference(), self._random.choice(_EDGES), self._random.choice(_EDGES)
        return self.reference(), *self._good_segment()[1:]

    def _good_segment(self) -> tuple[int, int, int]:
        if self.greedy:
            return self._random.choice(self.data), 0, PAGE_BYTES
        offset = self._random.choice((0, 0, 512, 1024))
        length = self._random.choice((0, 512, 512, 1024, PAGE_BYTES - offset))
        return self._random.choice(self.data), offset, length

    def segments(self, most: int = SEGMENTS) -> bytes:
        """Records of some."""
        count = self._random.choice((0, 1, 1, 1, 2, 2, 8, most))
        return b"".join(_RECORD.pack(*self.segment()) for _ in range(count))

    def indirect(self) -> bytes:
        """Records of tables."""
        count = 1 if self.greedy else self._random.choice((1, 1, 1, 1, 2, 3, SEGMENTS))
        return b"".join(_RECORD.pack(*self._table()) for _ in range(count))

    def _table(self) -> tuple[int, int, int]:
        if self._random.random() < 0.1:
            return self._random.choice((*self.tables, self.reference())), *self.segment()[1:]
        count = 128 if self.greedy else self._random.choice((1, 27, 64, 128, 129))
        return self._random.choice(self.tables), 0, SEGMENT_BYTES * count

    def change(self) -> None:
        """Change a table, or all of one page."""
        number = self._random.randrange(PAGES)
        if number < 8:
            self._fill(number)
        else:
            self._pages[number].view[:64] = self._random.randbytes(64)

    def _fill(self, number: int) -> None:
        if self._random.random() < 0.1:
            self._pages[number].view[:] = self._random.randbytes(PAGE_BYTES)
            return
        segment = self.segment if self._random.random() < 0.2 else self._good_segment
        records = b"".join(_RECORD.pack(*segment()) for _ in range(32))
        self._pages[number].view[:] = records * (PAGE_BYTES // len(records))

    def tear(self) -> None:
        """Revoke a grant that may be in use, or grant once more what was revoked."""
        if self._torn and self._random.random() < 0.6:
            number = self._torn.pop()
            self.data[number] = self._guest.grant(self._pages[8 + number])
            return
        number = self._random.randrange(len(self.data))
        if number not in self._torn:
            self._torn.append(number)
            self._guest.tear(self.data[number])
