"""What surrounds the daemon in a run: time, chance, media, faults, and the one who judges."""

import random
from typing import TYPE_CHECKING

from sim.faults import Faults
from sim.loop import SimLoop
from sim.medium import Medium
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.judge import Judge
    from sim.transport import SimTransport
    from sim.workers import Job


class Environment:
    """Outlives the daemons of a run.

    :param seed: of everything that has no order.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.faults = Faults(self.chance)
        self.media: dict[str, Medium] = {}
        self.loop: SimLoop | None = None
        self.trace = Trace(self.time, lambda: not self.discarding)
        self.failures: list[str] = []
        self.discarding = False
        """Whether a daemon that was killed is being cleared away: nothing that its code does then has happened."""
        self.job: Job | None = None
        """The job that is acting now."""
        self.transport: SimTransport | None = None
        """The one that listens."""
        self.judge: Judge

    def time(self) -> float:
        """Seconds since the beginning of the run."""
        return self.loop.time() if self.loop is not None else 0.0

    def fail(self, what: str) -> None:
        """Something is wrong: the run ends."""
        if self.discarding:
            return
        self.trace("FAILURE", what)
        self.failures.append(what)
        if self.loop is not None:
            self.loop.halted = True

    def medium(self, name: str, size_bytes: int) -> Medium:
        """A medium by name; a new one is all zeroes."""
        if name not in self.media:
            self.media[name] = Medium(name, size_bytes)
        return self.media[name]

    def new_loop(self) -> SimLoop:
        """The next loop, at the time where the last one ended."""
        self.loop = SimLoop(self.chance, self, self.time())
        return self.loop
