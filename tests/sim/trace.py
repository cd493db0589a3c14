"""What happened in a run, in order: the same for the same seed."""

import hashlib
from collections.abc import Callable, Iterator


class Trace:
    """A log of a run; lines are made when somebody wants to read them.

    :param clock: the time of the run.
    :param happens: whether what is told has happened.
    """

    def __init__(self, clock: Callable[[], float], happens: Callable[[], bool]) -> None:
        self._clock = clock
        self._happens = happens
        self._events: list[tuple[object, ...]] = []

    def __call__(self, *what: object) -> None:
        """Note an event; what is given is formatted later, and must not change."""
        if self._happens():
            self._events.append((self._clock(), *what))

    def lines(self, last: int | None = None) -> Iterator[str]:
        """The whole, or its end."""
        for now, *what in self._events[-last if last else 0 :]:
            yield f"{now:12.6f}  {' '.join(map(str, what))}"

    def digest(self) -> str:
        """Two runs with the same digest were the same."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()
