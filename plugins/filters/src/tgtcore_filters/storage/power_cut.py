"""What is left of writes that were not flushed when the power goes, and what that has cost."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Literal

from tgtcore import Options
from tgtcore_filters.storage.history import Record, Span

_PARTS_MAX = 32768
"""In so many parts at most one write is torn: those of the longest one that there is, by sectors of 512 bytes."""

_RANGES_MAX = 64
"""How many ranges a report lists."""


class Cut(Options):
    """Arguments of the action ``crash``."""

    keep: Literal["none", "some"] = "none"
    """What of the writes that were not flushed is on the medium nevertheless."""

    seed: int = 0
    """What chance comes from."""


def kept(records: Iterable[Record], cut: Cut, sector_bytes: int) -> Iterator[tuple[Record, list[Span]]]:
    """Of each write what is on the medium: all, nothing, or any of its sectors, each with the same chance."""
    dice = Random(cut.seed)
    for record in records:
        fate = 0 if cut.keep == "none" else dice.randrange(3)
        whole = record.spans if fate else []
        yield record, whole if fate < 2 else [part for span in whole for part in _torn(span, sector_bytes, dice)]


def _torn(span: Span, sector_bytes: int, dice: Random) -> Iterator[Span]:
    """Some sectors of a range."""
    first, end = span
    step = sector_bytes * -(-(end - first) // (sector_bytes * _PARTS_MAX))
    while first < end:
        beyond = min(first // step * step + step, end)
        if dice.getrandbits(1):
            yield first, beyond
        first = beyond


class Report:
    """What a power cut has cost.

    :param now_s: by :func:`time.monotonic`.
    """

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._lost: list[Span] = []
        self._writes = {"lost": 0, "torn": 0, "kept": 0}
        self._initiators: dict[str, dict[str, Any]] = {}

    def add(self, record: Record, spans: list[Span]) -> None:
        """One write, and what is on the medium of it."""
        lost_bytes = _bytes(record.spans) - _bytes(spans)
        self._writes["kept" if not lost_bytes else "torn" if spans else "lost"] += 1
        if not lost_bytes:
            return
        self._lost += _without(record.spans, spans)
        initiator = record.writer.initiator
        entry = self._initiators.setdefault(
            initiator.name,
            {
                "acknowledged_writes": 0,
                "other_writes": 0,
                "bytes": 0,
                "oldest_s": round(self._now_s - record.since_s, 3),
                "flushes": initiator.flushes,
            },
        )
        entry["acknowledged_writes" if record.writer.acknowledged else "other_writes"] += 1
        entry["bytes"] += lost_bytes

    def result(self) -> dict[str, Any]:
        """As data that JSON can carry."""
        ranges = list(_merged(self._lost))
        return {
            "lost_writes": self._writes["lost"],
            "torn_writes": self._writes["torn"],
            "kept_writes": self._writes["kept"],
            "lost_bytes": _bytes(ranges),
            "ranges": [[first, end - first] for first, end in ranges[:_RANGES_MAX]],
            "ranges_left_out": max(len(ranges) - _RANGES_MAX, 0),
            "initiators": self._initiators,
        }


def _bytes(spans: Iterable[Span]) -> int:
    return sum(end - first for first, end in spans)


def _without(spans: list[Span], taken: list[Span]) -> Iterator[Span]:
    """What is left of ranges without others that lie in them; both are in order."""
    rest = iter([*taken, (1 << 64, 1 << 64)])
    gap = next(rest)
    for first, end in spans:
        while first < end:
            while gap[1] <= first:
                gap = next(rest)
            beyond = min(end, gap[0])
            if first < beyond:
                yield first, beyond
            first = max(beyond, min(gap[1], end))


def _merged(spans: list[Span]) -> Iterator[Span]:
    """The same bytes in order, each once."""
    end = -1
    first = 0
    for start, stop in sorted(spans):
        if start > end:
            if end > 0:
                yield first, end
            first = start
        end = max(end, stop)
    if end > 0:
        yield first, end
