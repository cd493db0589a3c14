"""Random writes by several sessions, each remembered when it is acknowledged, and read back whatever happens between."""

import random
import struct
import threading
import time
from dataclasses import dataclass, field

from oracle.commands import BLOCK_BYTES, read16, write16
from oracle.libiscsi import CHECK_CONDITION, LOGICAL_UNIT_RESET, TASK_ABORTED, InitiatorError, Session

_UNIT_BLOCKS = 8
_MAX_UNITS = 16
_RETRIES = 200
_UNIT_ATTENTION = 6
_STAMP = struct.Struct(">QQ")


def content(unit: int, generation: int) -> bytes:
    """What a unit of 4 KiB holds after a write: its place and generation, over and over."""
    return _STAMP.pack(unit, generation) * (_UNIT_BLOCKS * BLOCK_BYTES // _STAMP.size)


@dataclass
class Counts:
    """What was done, and what was found wrong."""

    writes: int = 0
    reads: int = 0
    retries: int = 0
    resets: int = 0
    drops: int = 0
    wrong: list[str] = field(default_factory=list)


class Region:
    """The units that one session alone writes and reads."""

    def __init__(self, url: str, first_unit: int, units: int, seed: int, counts: Counts) -> None:
        self._url, self._first, self._units = url, first_unit, units
        self._random = random.Random(seed)
        self._generations = [0] * units
        self._counts = counts
        self._session: Session | None = None

    def work(self, until: float, drop_every_s: float) -> None:
        """Write and read at random until a time of the monotonic clock; drop the connection now and then."""
        next_drop = time.monotonic() + drop_every_s * (0.5 + self._random.random())
        while time.monotonic() < until and not self._counts.wrong:
            if self._random.random() < 0.7:
                self._write()
            else:
                start, count = self._span()
                self._check(start, count)
            if time.monotonic() > next_drop and self._session:
                self._session.drop()
                self._session = None
                self._counts.drops += 1
                next_drop = time.monotonic() + drop_every_s * (0.5 + self._random.random())

    def check_all(self) -> None:
        """Read the whole region back."""
        for start in range(0, self._units, 128):
            self._check(start, min(128, self._units - start))
        if self._session:
            self._session.__exit__()
            self._session = None

    def _span(self) -> tuple[int, int]:
        count = self._random.randint(1, min(_MAX_UNITS, self._units))
        return self._random.randint(0, self._units - count), count

    def _write(self) -> None:
        start, count = self._span()
        generation = self._counts.writes + 1
        data = b"".join(content(self._first + unit, generation) for unit in range(start, start + count))
        self._do(write16((self._first + start) * _UNIT_BLOCKS, count * _UNIT_BLOCKS), 0, data)
        self._generations[start : start + count] = [generation] * count
        self._counts.writes += 1

    def _check(self, start: int, count: int) -> None:
        size = count * _UNIT_BLOCKS * BLOCK_BYTES
        found = self._do(read16((self._first + start) * _UNIT_BLOCKS, count * _UNIT_BLOCKS), size, b"")
        self._counts.reads += 1
        unit_bytes = _UNIT_BLOCKS * BLOCK_BYTES
        for index in range(count):
            generation = self._generations[start + index]
            unit = self._first + start + index
            wanted = content(unit, generation) if generation else bytes(unit_bytes)
            if found[index * unit_bytes : (index + 1) * unit_bytes] != wanted:
                seen = _STAMP.unpack_from(found, index * unit_bytes)
                self._counts.wrong.append(f"unit {unit}: expected generation {generation}, found {seen}")

    def _do(self, cdb: bytes, read: int, data_out: bytes) -> bytes:
        """Repeat until GOOD: only what is acknowledged counts, and only the newest acknowledged content may be seen."""
        for _ in range(_RETRIES):
            try:
                session = self._session or Session(self._url, timeout_s=3)
                self._session = session
                answer = session.command(cdb, read=read, data_out=data_out)
            except InitiatorError:
                if self._session:
                    self._session.drop()
                    self._session = None
                time.sleep(0.02)
            else:
                if answer.good:
                    return answer.data_in
                attention = answer.status == CHECK_CONDITION and answer.sense_key == _UNIT_ATTENTION
                assert attention or answer.status == TASK_ABORTED, f"{cdb.hex(' ')}: {answer}"
            self._counts.retries += 1
        raise AssertionError(f"{cdb.hex(' ')}: no GOOD in {_RETRIES} attempts")


def run(url: str, seconds: float, *, sessions: int = 4, region_bytes: int = 8 << 20) -> Counts:
    """Write for a while under LUN resets and dropped sessions, then read everything back."""
    counts = Counts()
    units = region_bytes // (_UNIT_BLOCKS * BLOCK_BYTES)
    regions = [Region(url, number * units, units, number, counts) for number in range(sessions)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=_guarded, args=(region, until, counts), daemon=True) for region in regions]
    for thread in threads:
        thread.start()
    while time.monotonic() < until and not counts.wrong:
        time.sleep(0.2)
        with Session(url, name="iqn.2025-01.example.libiscsi:resetter") as session:
            session.manage(LOGICAL_UNIT_RESET)
            counts.resets += 1
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a session did not come to an end"
    for region in regions:
        region.check_all()
    return counts


def _guarded(region: Region, until: float, counts: Counts) -> None:
    try:
        region.work(until, drop_every_s=1.0)
    except AssertionError as error:
        counts.wrong.append(str(error))
