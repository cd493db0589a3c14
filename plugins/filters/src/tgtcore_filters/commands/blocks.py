"""Ranges of logical block addresses as users write them."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

LBA_MAX = (1 << 64) - 1

_WRITTEN = re.compile(r"(0x[0-9a-f]{1,16}|[0-9]{1,20})\s*(-\s*(0x[0-9a-f]{1,16}|[0-9]{1,20})?)?", re.IGNORECASE)


class Blocks:
    """Some logical blocks.

    :param words: each is an address (17), or text: ``"17"``, ``"0-2047"`` with the last one included, ``"0x800-"`` up to the end.
    :raises ValueError: one of them is not a range of blocks.
    """

    def __init__(self, words: Iterable[str | int]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(map(_parsed, words)):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def first(self, ranges: Sequence[range]) -> int | None:
        """The lowest address in any of the ranges that is one of these blocks; None: no range has one."""
        found = (self._first(one) for one in ranges if one)
        return min((address for address in found if address is not None), default=None)

    def _first(self, one: range) -> int | None:
        at = bisect_right(self._starts, one.start)
        if at and self._ends[at - 1] > one.start:
            return one.start
        if at < len(self._starts) and self._starts[at] < one.stop:
            return self._starts[at]
        return None


def _parsed(word: str | int) -> tuple[int, int]:
    """First address, and the one behind the last."""
    found = _WRITTEN.fullmatch(str(word).strip())
    if found is None:
        raise ValueError(f'"{word!s:.60}" is no range of logical blocks; expected an address, or two as in "0-2047"')
    first = int(found[1], 0)
    last = first if found[2] is None else LBA_MAX if found[3] is None else int(found[3], 0)
    if last > LBA_MAX:
        raise ValueError(f'"{word}" goes beyond the last address that there can be, {LBA_MAX}')
    if last < first:
        raise ValueError(f'"{word}" is no range of logical blocks: it ends before it begins')
    return first, last + 1


EVERY_BLOCK = Blocks(("0-",))
