"""The filter ``crash``: what was not flushed is in memory only, until somebody cuts the power."""

from time import monotonic
from typing import Any

from pydantic import Field, field_validator

from tgtcore import Aftermath, Buffer, CommandFilter, Options, Size, Store, Task, action
from tgtcore_filters.storage.history import History, Record
from tgtcore_filters.storage.initiators import Initiators
from tgtcore_filters.storage.power_cut import Cut, Report, kept
from tgtcore_filters.storage.sectors import power_of_two
from tgtcore_filters.storage.volatile import Volatile

_PHYSICAL_BYTES_MAX = 4096
"""No disk says of itself that its physical blocks are larger, unless it is told to."""


class CrashOptions(Options):
    """Keys of the filter ``crash``."""

    memory: Size = Field(64 * 1024 * 1024, ge=1024 * 1024, validate_default=True)
    sector: Size | None = None

    _is_one = field_validator("sector")(power_of_two)


class Crash(Volatile, CommandFilter):
    """Keeps every change since the last flush apart, in order, with who made it; the action ``crash`` loses them.

    Beneath an image format it sees the bytes of the image, and commands say nothing of those; there it knows no initiators.
    """

    Options = CrashOptions
    options: CrashOptions

    def __init__(self, base: Store, options: CrashOptions) -> None:
        super().__init__(base, options)
        self._history = History()
        self._initiators = Initiators()
        self._crashes = 0
        self._written_early = 0

    # ---- commands ---------------------------------------------------------------------------------------------------

    def command(self, task: Task) -> Any:
        """Remember whose it is, and let it go on."""
        self._initiators.command(task, self.place.lu.device)

    # ---- storage calls ----------------------------------------------------------------------------------------------

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract; where there is no room, the oldest writes go to the base, as a device does at any time."""
        self._change("write", offset, len(data), bytes(data))

    def unmap(self, offset: int, length: int) -> None:
        """As in the contract: as volatile as a write."""
        self._change("unmap", offset, length, None)

    def write_zeroes(self, offset: int, length: int) -> None:
        """As in the contract: as volatile as a write."""
        self._change("write_zeroes", offset, length, None)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Done at once if there is room."""
        if not self.changing.acquire(blocking=False):
            return False
        try:
            return self._take(self._record("write", offset, len(data), bytes(data)))
        finally:
            self.changing.release()

    def write_through(self, offset: int, data: Buffer) -> None:
        """As in the contract: only these bytes, other writes stay volatile."""
        super().write_through(offset, data)
        with self.changing:
            self._initiators.writer(offset, len(data)).initiator.written_through += 1

    def _change(self, how: str, offset: int, length: int, data: bytes | None) -> None:
        record = self._record(how, offset, length, data)
        if record.cost_bytes > self.options.memory:
            self._change_base(record)
            return
        while True:
            with self.changing:
                if self._take(record):
                    return
            with self.writing:
                self._make_room(record.cost_bytes)

    def _record(self, how: str, offset: int, length: int, data: bytes | None) -> Record:
        return Record(how, offset, length, data, self._initiators.writer(offset, length), monotonic())

    def _take(self, record: Record) -> bool:
        if self._history.cost_bytes + record.cost_bytes > self.options.memory:
            return False
        self._history.add(record)
        self.pending.put(record.piece())
        return True

    def _change_base(self, record: Record) -> None:
        """One that memory can't take."""
        with self.writing:
            self.write_back()
            record.apply(self.base, record.spans)
            with self.changing:
                self.forget(record.offset, record.length)
                record.writer.initiator.writes += 1
                self._written_early += 1

    def _make_room(self, cost_bytes: int) -> None:
        while self._history and self._history.cost_bytes + cost_bytes > self.options.memory:
            self._write_back_oldest()
            self._written_early += 1

    def write_back(self) -> None:
        """In the order in which it came, so that a failure leaves what a device might."""
        for _ in range(len(self._history)):
            self._write_back_oldest()

    def _write_back_oldest(self) -> None:
        record = self._history.first()
        record.apply(self.base, record.spans)
        with self.changing:
            self.pending.drop(record.offset, record.length, record)
            self._history.retire()

    def forget(self, offset: int, length: int) -> None:
        """As above, also for what is older than what is seen."""
        super().forget(offset, length)
        self._history.cut(offset, offset + length)

    def forget_all(self) -> None:
        """As above."""
        super().forget_all()
        while self._history:
            self._history.retire()

    # ---- what people ask of it ----------------------------------------------------------------------------------------

    @action("Lose what was not flushed, as a power cut would.", Cut, pauses=True, after=Aftermath.POWER_ON)
    def crash(self, cut: Cut) -> dict[str, Any]:
        """What it has cost; whatever fails on the way, no write is lost then."""
        report = Report(monotonic())
        with self.writing:
            for record, spans in kept(tuple(self._history), cut, self._sector_bytes):
                record.apply(self.base, spans)
                report.add(record, spans)
            self.base.flush()
            with self.changing:
                self.forget_all()
                self._crashes += 1
        return report.result()

    @property
    def _sector_bytes(self) -> int:
        """By default a disk's physical block: file systems rely on it that one is written whole or not at all."""
        return max(self.options.sector or min(self.preferred_bytes, _PHYSICAL_BYTES_MAX), self.block_bytes)

    def figures(self) -> dict[str, Any]:
        """What a crash would cost now, and who has never flushed."""
        now_s = monotonic()
        with self.changing:
            present = self._initiators.present()
            return {
                "crashes": self._crashes,
                "unflushed_writes": len(self._history),
                "unflushed_bytes": self.pending.bytes,
                "written_early": self._written_early,
                "never_flushed": [one.name for one in present if one.never_flushed],
                "initiators": {one.name: one.figures(now_s) for one in present},
            }
