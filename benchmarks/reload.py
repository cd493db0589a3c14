"""How long initiators wait while the code beneath their logical unit is replaced: the longest gap between two answers.

Half of the 4 KiB commands read and half write, 32 at one time, and the plugin of the store is reloaded over and over meanwhile.
"""

import itertools
import random
import statistics
import threading
import time
from dataclasses import dataclass

from oracle.commands import read16, write16
from oracle.libiscsi import Answer
from oracle.pipelined import PipelinedSession
from oracle.served import Served

MOST_PAUSE_S = 0.1
_DEPTH = 32
_BLOCKS = 8
_DATA = bytes(range(256)) * 16
_BLOCK_BYTES = 512
_RELOAD_EVERY_S = 0.5


@dataclass(frozen=True)
class Pauses:
    """What was measured, in seconds.

    :param gaps: for each reload the longest gap between two answers while it went on, and up to half a second after it.
    :param quiet: the longest gap without a reload.
    :param commands: how many were answered.
    :param refused: how many of them not with GOOD status.
    """

    gaps: tuple[float, ...]
    quiet: float
    commands: int
    refused: int

    @property
    def met(self) -> bool:
        """Whether no reload took too long, and no command failed."""
        return not self.refused and max(self.gaps) < MOST_PAUSE_S

    def __str__(self) -> str:
        return (
            f"reload under 4 KiB depth 32: longest gap between answers {max(self.gaps) * 1000:.0f} ms, median "
            f"{statistics.median(self.gaps) * 1000:.0f} ms in {len(self.gaps)} reloads ({self.quiet * 1000:.0f} ms without; "
            f"target < {MOST_PAUSE_S * 1000:.0f} ms), {self.commands} commands, {self.refused} refused"
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


def measure_reloads(daemon: Served, plugin: str, rounds: int, size_bytes: int) -> Pauses:
    """Reload a plugin several times under load."""
    with PipelinedSession(daemon.url) as session:
        session.ready()
        load = _Load(session, size_bytes // _BLOCK_BYTES)
        thread = threading.Thread(target=load.run)
        thread.start()
        spans = []
        try:
            time.sleep(_RELOAD_EVERY_S)
            begun = time.monotonic()
            time.sleep(2 * _RELOAD_EVERY_S)
            quiet = begun, time.monotonic()
            for _ in range(rounds):
                started = time.monotonic()
                daemon.admin("plugin", "reload", plugin)
                time.sleep(_RELOAD_EVERY_S)
                spans.append((started, time.monotonic()))
        finally:
            load.end()
            thread.join()
        return Pauses(tuple(load.gap(*span) for span in spans), load.gap(*quiet), len(load.answers), load.refused)
