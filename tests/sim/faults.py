"""What goes wrong, and how long things take: the character of a run."""

import errno
import random
from dataclasses import dataclass

_CODES = (errno.EIO, errno.ENOSPC, errno.ETIMEDOUT, errno.ENODEV, errno.ENOMEM)


@dataclass(frozen=True, kw_only=True)
class Character:
    """Probabilities and times.

    :param call_fails: of a store call that blocks.
    :param opening_fails: of making a store.
    :param job_hangs: of a job, which then takes very long.
    :param at_once: of a ``*_nowait`` call that does not refuse.
    :param job_s: mean time of a job, besides waiting for a worker.
    :param wire_s: mean time of a message.
    """

    call_fails: float
    opening_fails: float
    job_hangs: float
    at_once: float
    job_s: float
    wire_s: float


_HANG_S = (5.0, 40.0)


class Faults:
    """Decides for one run.

    :param chance: of this run.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._random = chance.random
        failing = chance.choice((0.0, 0.0, 0.01, 0.08))
        self.character = Character(
            call_fails=failing,
            opening_fails=failing,
            job_hangs=chance.choice((0.0, 0.0, 0.002, 0.02)),
            at_once=chance.choice((0.0, 0.3, 0.9)),
            job_s=chance.choice((0.0005, 0.005)),
            wire_s=chance.choice((0.0001, 0.002)),
        )
        self.on = True
        """False: all goes well from now on, although in no other time."""
        self.injected = 0
        """How often something was made to fail or to hang."""

    def _happens(self, probability: float) -> bool:
        if not probability or not self.on or self._random() >= probability:
            return False
        self.injected += 1
        return True

    def call(self, what: str) -> None:
        """A store does something.

        :raises OSError: it can't.
        """
        if self._happens(self.character.call_fails):
            raise OSError(self._chance.choice(_CODES), f"{what} fails in the simulation")

    def opening(self, what: str) -> None:
        """A store is made.

        :raises OSError: it can't be.
        """
        if self._happens(self.character.opening_fails):
            raise OSError(errno.EACCES, f"{what} can't be opened in the simulation")

    def at_once(self) -> bool:
        """Whether a call that must not wait is done."""
        return self._random() < self.character.at_once

    def job_s(self) -> float:
        """How long one part of a job takes."""
        if self._happens(self.character.job_hangs):
            return self._chance.uniform(*_HANG_S)
        return self._chance.expovariate(1 / self.character.job_s)

    def wire_s(self) -> float:
        """How long a message takes."""
        return self._random() * 2 * self.character.wire_s
