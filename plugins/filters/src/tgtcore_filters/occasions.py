"""When a fault strikes: which ones of the calls or commands that it is about.

All of it is repeatable: the same options and the same sequence of candidates give the same strikes.
"""

from pathlib import Path
from random import Random
from threading import Lock

from pydantic import Field

from tgtcore import Options


class OccasionOptions(Options):
    """Keys that tell when; a filter's own model inherits them."""

    first: int = Field(1, ge=1)
    """The first candidate that may be struck, counted from 1."""

    every: int = Field(1, ge=1)
    """Of the candidates from there on, one out of so many."""

    count: int | None = Field(None, ge=1)
    """After so many strikes there are no more."""

    probability: float = Field(1.0, ge=0, le=1)
    """With which each one that is left is struck."""

    seed: int = 0
    """What all chance comes from."""

    while_file_exists: Path | None = None
    """Candidates that come while this file does not exist are none: they are not even counted."""


class Occasions:
    """Counts candidates and tells which ones are struck; for threads too."""

    def __init__(self, options: OccasionOptions) -> None:
        self._options = options
        self._chance = Random(options.seed)
        self._changing = Lock()
        self.candidates = 0
        """How many there were."""
        self.strikes = 0
        """How many were struck."""

    def strike(self) -> int:
        """Count one candidate; the number of the strike, from 1, if it is to be struck, else 0.

        It takes a look at the file system if ``while_file_exists`` is set, and never waits for more.
        """
        options = self._options
        if options.while_file_exists is not None and not options.while_file_exists.exists():
            return 0
        with self._changing:
            self.candidates += 1
            beyond = self.candidates - options.first
            if beyond < 0 or beyond % options.every or self.strikes == options.count:
                return 0
            if self._chance.random() >= options.probability:
                return 0
            self.strikes += 1
            return self.strikes

    def dice(self, strike: int) -> Random:
        """The chance of one strike, which is the same whatever goes on in other threads."""
        return Random(f"{self._options.seed}/{strike}")
