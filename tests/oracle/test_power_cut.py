"""Durable means durable: what was answered GOOD with FUA, or before SYNCHRONIZE CACHE was, is there after kill -9.

Killing a process leaves the page cache, and with it every write that nobody flushed.  So the daemon works on a store that keeps
only what system calls for durability have covered (:class:`oracle.harsh_stores.PowerCutFile`); that these calls are the
kernel's is the matter of ``test_durable_calls.py``.
"""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from oracle.commands import BLOCK_BYTES, read16, synchronize_cache10, synchronize_cache16, write16
from oracle.contents import Contents
from oracle.harsh_stores import served
from oracle.libiscsi import InitiatorError, Session

_STORE, _SIZE = "power-cut-file", "8M"
_KILLS = 100
_WRITERS = 2
_SPOT_BLOCKS = 8
_SPOTS = 512
_BATCH = 4


@dataclass
class Spot:
    """Some blocks of one writer's region."""

    contents: Contents
    number: int

    @property
    def at(self) -> int:
        """The first block within the region."""
        return self.number * _SPOT_BLOCKS

    @property
    def lba(self) -> int:
        """The first block."""
        return self.contents.first + self.at

    def data(self, generation: int) -> bytes:
        """What a write of that generation puts here."""
        return self.contents.data(self.at, _SPOT_BLOCKS, generation)

    def sent(self, generation: int) -> None:
        """Until it is acknowledged as durable, old and new content are both right."""
        self.contents.perhaps_written(self.at, _SPOT_BLOCKS, generation)

    def durable(self, generation: int) -> None:
        """It is acknowledged."""
        self.contents.written(self.at, _SPOT_BLOCKS, generation)


class Writer:
    """Writes durably at random until the daemon dies."""

    def __init__(self, number: int, generations: Iterator[int]) -> None:
        self.contents = Contents(number * _SPOTS * _SPOT_BLOCKS, _SPOTS * _SPOT_BLOCKS)
        self.acknowledged = 0
        self._random = random.Random(number)
        self._generations = generations
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, url: str) -> None:
        """Begin to write, on a thread."""
        self._thread = threading.Thread(target=self._work, args=(url,), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, which the daemon's death brings."""
        assert self._thread
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._failure:
            raise self._failure

    def _work(self, url: str) -> None:
        try:
            session = Session(url, timeout_s=10)
            session.ready()
            while True:
                self._random.choice((self._write_through, self._write_and_synchronize))(session)
                self.acknowledged += 1
        except InitiatorError:
            return
        except Exception as error:  # handed to the thread that waits
            self._failure = error

    def _write_through(self, session: Session) -> None:
        (spot,), generation = self._spots(1), next(self._generations)
        spot.sent(generation)
        assert session.command(write16(spot.lba, _SPOT_BLOCKS, fua=True), data_out=spot.data(generation)).good
        spot.durable(generation)

    def _write_and_synchronize(self, session: Session) -> None:
        spots, generation = self._spots(_BATCH), next(self._generations)
        for spot in spots:
            spot.sent(generation)
            assert session.command(write16(spot.lba, _SPOT_BLOCKS), data_out=spot.data(generation)).good
        assert session.command(self._random.choice((synchronize_cache10, synchronize_cache16))()).good
        for spot in spots:
            spot.durable(generation)

    def _spots(self, number: int) -> list[Spot]:
        return [Spot(self.contents, chosen) for chosen in self._random.sample(range(_SPOTS), number)]


@pytest.mark.timeout(300)
def test_no_acknowledged_block_is_lost_by_100_power_cuts(tmp_path: Path) -> None:
    moment = random.Random(2025)
    generations = count(1)
    writers = [Writer(number, generations) for number in range(_WRITERS)]
    for cut in range(_KILLS):
        daemon = served(tmp_path, _STORE, _SIZE)
        try:
            for writer in writers:
                writer.start(daemon.url)
            time.sleep(moment.uniform(0.02, 0.2))
        finally:
            daemon.kill()
        for writer in writers:
            writer.join()
            lost = writer.contents.check(0, _platter(tmp_path, writer.contents))
            assert lost is None, f"after power cut {cut + 1}"
    assert min(writer.acknowledged for writer in writers) > 3 * _KILLS, [writer.acknowledged for writer in writers]
    with served(tmp_path, _STORE, _SIZE) as daemon, Session(daemon.url) as session:
        session.ready()
        for writer in writers:
            for at in range(0, writer.contents.blocks, 1024):
                found = session.command(read16(writer.contents.first + at, 1024), read=1024 * BLOCK_BYTES)
                lost = writer.contents.check(at, found.data_in)
                assert lost is None


def _platter(folder: Path, contents: Contents) -> bytes:
    with (folder / "disk.platter").open("rb") as file:
        file.seek(contents.first * BLOCK_BYTES)
        return file.read(contents.blocks * BLOCK_BYTES)


def test_the_medium_does_lose_what_was_not_made_durable(tmp_path: Path) -> None:
    daemon = served(tmp_path, _STORE, _SIZE)
    try:
        with Session(daemon.url) as session:
            session.ready()
            for lba in range(4):
                assert session.command(write16(lba, 1, fua=lba == 1), data_out=b"x" * BLOCK_BYTES).good
                if lba == 2:
                    assert session.command(synchronize_cache10()).good
            daemon.kill()
    finally:
        daemon.kill()
    with served(tmp_path, _STORE, _SIZE) as daemon, Session(daemon.url) as session:
        session.ready()
        found = session.command(read16(0, 4), read=4 * BLOCK_BYTES).data_in
        assert found == b"x" * 3 * BLOCK_BYTES + bytes(BLOCK_BYTES), "the last write was not made durable"
