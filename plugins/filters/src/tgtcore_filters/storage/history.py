"""Every write since the last flush, in order: what a power cut chooses from."""

from collections import deque
from collections.abc import Iterable, Iterator

from tgtcore import Store
from tgtcore_filters.storage.initiators import Writer
from tgtcore_filters.storage.pending import PIECE_COST_BYTES, Piece

Span = tuple[int, int]
"""First byte and the one behind the last."""


class Record:
    """One call that changed bytes.

    :param how: the store's method: ``write``, ``unmap`` or ``write_zeroes``.
    :param data: what was written; None: zeroes.
    :param since_s: when, by :func:`time.monotonic`.
    """

    __slots__ = ("data", "how", "length", "offset", "since_s", "spans", "writer")

    def __init__(self, how: str, offset: int, length: int, data: bytes | None, writer: Writer, since_s: float) -> None:
        self.how = how
        self.offset = offset
        self.length = length
        self.data = data
        self.writer = writer
        self.since_s = since_s
        self.spans: list[Span] = [(offset, offset + length)]
        """What of it is still of any meaning: the base may have got something newer for the rest."""

    @property
    def cost_bytes(self) -> int:
        """What it takes in memory, with the pieces that later ones may leave of it."""
        return len(self.data or b"") + 2 * PIECE_COST_BYTES

    def piece(self) -> Piece:
        """As what lies over the base."""
        data = None if self.data is None else memoryview(self.data)
        return Piece(self.offset, self.length, data, self, allocated=self.how != "unmap")

    def cut(self, first: int, end: int) -> None:
        """The base has something newer for a range."""
        self.spans = [
            part
            for span in self.spans
            for part in ((span[0], min(span[1], first)), (max(span[0], end), span[1]))
            if part[0] < part[1]
        ]

    def apply(self, base: Store, spans: Iterable[Span]) -> None:
        """Do it to the base, as far as some ranges go."""
        for first, end in spans:
            if self.data is None:
                getattr(base, self.how)(first, end - first)
            else:
                base.write(first, memoryview(self.data)[first - self.offset : end - self.offset])


class History:
    """Records, the oldest first; who uses it from several threads has a lock."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.cost_bytes = 0

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        """The newest."""
        self._records.append(record)
        self.cost_bytes += record.cost_bytes
        initiator = record.writer.initiator
        initiator.writes += 1
        initiator.unflushed_bytes += record.length
        initiator.unflushed_since.append(record.since_s)

    def first(self) -> Record:
        """The oldest."""
        return self._records[0]

    def retire(self) -> None:
        """Forget the oldest: it is on the base, or lost."""
        record = self._records.popleft()
        self.cost_bytes -= record.cost_bytes
        initiator = record.writer.initiator
        initiator.unflushed_bytes -= record.length
        initiator.unflushed_since.popleft()

    def cut(self, first: int, end: int) -> None:
        """The base has something newer for a range."""
        for record in self._records:
            if record.offset < end and first < record.offset + record.length:
                record.cut(first, end)
