"""What a fault filter has done, for whoever wants to know afterwards."""

from collections import deque
from threading import Lock
from typing import Any


class Ledger:
    """Entries in the order in which they were made; for threads too.

    :param entries_max: beyond, the oldest are forgotten, and only counted.
    """

    def __init__(self, entries_max: int) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=entries_max)
        self._changing = Lock()
        self.made = 0
        """How many there were since it was cleared."""

    def add(self, **entry: Any) -> None:
        """Make an entry of data that JSON can carry."""
        with self._changing:
            self._entries.append(entry)
            self.made += 1

    def shown(self) -> dict[str, Any]:
        """All of it."""
        with self._changing:
            return {"entries": list(self._entries), "forgotten": self.made - len(self._entries)}

    def clear(self) -> int:
        """Begin anew; how many entries there were."""
        with self._changing:
            made, self.made = self.made, 0
            self._entries.clear()
        return made
