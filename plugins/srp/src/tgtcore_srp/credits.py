"""The request limit: how many more requests the initiator may send (SRP 4.5)."""

from collections.abc import Callable

from tgtcore_srp.memory import Memory

REQUEST_LIMIT_MIN = 4
"""No limit shrinks below it: initiators keep two requests back for task management, and want one more."""


class Credits:
    """Counts along with the initiator.

    ``left``, what was withheld and the requests that have no answer yet are ``limit`` together, at every moment; so there is always
    a slot for what the initiator may send.

    :param limit: the most requests without an answer, each of which has a slot.
    :param memory: while it is short, answers give nothing back, so that the limit shrinks.
    :param eased: called when withheld credits may be given back again.
    """

    __slots__ = ("_eased", "_functions", "_memory", "_owed", "left", "limit", "withheld")

    def __init__(self, limit: int, memory: Memory, eased: Callable[[], None]) -> None:
        self.limit = limit
        self.left = limit
        """How many more requests the initiator may send, once it has seen all answers."""
        self.withheld = 0
        """Those of requests that have ended, but not come back to the initiator: the memory was short, or there was no answer."""
        self._functions = 0
        """Task management functions that have no answer yet."""
        self._owed = 0
        """What of the withheld ones their answers are to bring: for the initiator those requests have not ended before."""
        self._memory = memory
        self._eased = eased

    def delta(self) -> int:
        """REQUEST LIMIT DELTA of the answer to a request."""
        if self.withheld or self._memory.short:
            self.withheld += 1
            return self.give_back()
        self.left += 1
        return 1

    def ended_in_silence(self) -> None:
        """A request has ended without an answer."""
        self.withheld += 1
        if self._functions:
            self._owed += 1

    def function_begins(self) -> None:
        """A task management function begins; requests that it ends in silence come back with its answer, not before."""
        self._functions += 1

    def function_ends(self) -> None:
        """It is about to be answered."""
        self._functions -= 1
        if not self._functions:
            self._owed = 0

    def give_back(self) -> int:
        """What was withheld and may go back now; the initiator is going to be told."""
        delta = self.withheld - self._owed
        if self._memory.short:
            delta = max(0, min(delta, REQUEST_LIMIT_MIN - (self.limit - self.withheld)))
            self._memory.when_eased(self._eased)
        self.withheld -= delta
        self.left += delta
        return delta
