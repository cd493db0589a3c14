"""Requests that a back end has taken which died, and of which no journal tells.

The ring tells how many there are, but not which: responses lie where requests were.  None of what stands in the ring before the
place where that back end was may be performed: it may be answered already, and a front end that gets a response which it does not
wait for lets its guest work on data that never came, or gives its host up.

The guest knows them.  Its patience ends, it aborts one, and thereby names it; that one is answered then, before the abort, and the
guest does with it what it does with a command that was lost on its way.  Whoever is named in an abort while it is answered already
must not be answered again: that is any whose request or response this back end has seen.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from tgtcore_xen.vscsiif.layout import SLOT_BYTES
from tgtcore_xen.vscsiif.request import rqid_of

LOST = b"\xff" * SLOT_BYTES
"""What a journal has in the place of a request that is lost."""


class Lost:
    """Those of one connection.

    :param entries: the place of each in the journal.
    :param unheard: responses that the front end may not have taken yet.
    """

    def __init__(self, entries: Iterable[int], unheard: Sequence[bytes]) -> None:
        self._entries = deque(entries)
        self._known = set(map(rqid_of, unheard))

    def __len__(self) -> int:
        return len(self._entries)

    def arrived(self, slots: Sequence[bytes]) -> None:
        """These requests are not lost."""
        self._known.update(map(rqid_of, slots))

    def found(self, rqid: int) -> int | None:
        """The guest waits for a request: its place in the journal, if it is one of the lost ones, as which it counts no more."""
        if rqid in self._known or not self._entries:
            return None
        self._known.add(rqid)
        return self._entries.popleft()
