"""How long initiators wait while something is done to their logical unit: the longest gap between two answers.

Half of the 4 KiB commands read and half write, 32 at one time, and it is done over and over meanwhile: the plugin of the store is
reloaded, or a snapshot made.
"""

import itertools
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from oracle.commands import read16, write16
from oracle.libiscsi import Answer
from oracle.pipelined import PipelinedSession
from oracle.served import Served

_DEPTH = 32
_BLOCKS = 8
_DATA = bytes(range(256)) * 16
_BLOCK_BYTES = 512
_EVERY_S = 0.5


@dataclass(frozen=True)
class Pauses:
    """What was measured, in seconds.

    :param what: what was done over and over.
    :param most_s: how long a gap may be.
    :param gaps: for each time the longest gap between two answers while it went on, and up to half a second after it.
    :param quiet: the longest gap without that.
    :param commands: how many were answered.
    :param refused: how many of them not with GOOD status.
    """

    what: str
    most_s: float
    gaps: tuple[float, ...]
    quiet: float
    commands: int
    refused: int

    @property
    def met(self) -> bool:
        """Whether it never took too long, and no command failed."""
        return not self.refused and max(self.gaps) < self.most_s

    def __str__(self) -> str:
        return (
            f"{self.what} under 4 KiB depth 32: longest gap between answers {max(self.gaps) * 1000:.0f} ms, median "
            f"{statistics.median(self.gaps) * 1000:.0f} ms in {len(self.gaps)} times ({self.quiet * 1000:.0f} ms without; "
            f"target < {self.most_s * 1000:.0f} ms), {self.commands} commands, {self.refused} refused"
        )


class _Load:
    """Commands without end on one session."""

    def __init__(self, session: PipelinedSession, blocks: int) -> None:
        self._session = session
        self._places = blocks // _BLOCKS
        self._random = random.Random(1)
        self.answers: list[float] = []
        self.refused = 0
        self._over = threading.Event()

    def run(self) -> None:
        for _ in range(_DEPTH):
            self._start()
        while self._session.in_flight:
            self._session.serve(0.1)

    def end(self) -> None:
        """Start nothing any more."""
        self._over.set()

    def _start(self) -> None:
        lba = self._random.randrange(self._places) * _BLOCKS
        if self._random.random() < 0.5:
            self._session.start(read16(lba, _BLOCKS), self._done, read=len(_DATA))
        else:
            self._session.start(write16(lba, _BLOCKS), self._done, data_out=_DATA)

    def _done(self, answer: Answer | None) -> None:
        self.answers.append(time.monotonic())
        if answer is None or answer.status:
            self.refused += 1
        if not self._over.is_set():
            self._start()

    def gap(self, since: float, until: float) -> float:
        """The longest time without an answer."""
        times = [since, *(at for at in self.answers if since < at < until), until]
        return max(later - at for at, later in itertools.pairwise(times))


def measure_pauses(
    daemon: Served, what: str, do: Callable[[int], object], rounds: int, size_bytes: int, most_s: float
) -> Pauses:
    """Do something several times under load.

    :param do: gets the number of the round.
    """
    with PipelinedSession(daemon.url) as session:
        session.ready()
        load = _Load(session, size_bytes // _BLOCK_BYTES)
        thread = threading.Thread(target=load.run)
        thread.start()
        spans = []
        try:
            time.sleep(_EVERY_S)
            begun = time.monotonic()
            time.sleep(2 * _EVERY_S)
            quiet = begun, time.monotonic()
            for number in range(rounds):
                started = time.monotonic()
                do(number)
                time.sleep(_EVERY_S)
                spans.append((started, time.monotonic()))
        finally:
            load.end()
            thread.join()
        gaps = tuple(load.gap(*span) for span in spans)
        return Pauses(what, most_s, gaps, load.gap(*quiet), len(load.answers), load.refused)
