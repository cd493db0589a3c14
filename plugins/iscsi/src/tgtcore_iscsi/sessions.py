"""The sessions of the transport: who is logged in, session handles, and reinstatement."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tgtcore import Target
    from tgtcore_iscsi.connection import Connection
    from tgtcore_iscsi.session import Session, SessionKey

_TSIH_MAX = 0xFFFF


class Sessions:
    """Every normal session that is logged in, with its connection."""

    def __init__(self) -> None:
        self._by_key: dict[SessionKey, tuple[Session, Connection]] = {}
        self._last_tsih = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> "Iterator[tuple[Session, Connection]]":
        return iter(list(self._by_key.values()))

    def new_tsih(self) -> int:
        """A target session identifying handle that no session has.

        :raises OverflowError: all 65535 are taken.
        """
        used = {session.tsih for session, _ in self._by_key.values()}
        for _ in range(_TSIH_MAX):
            self._last_tsih = self._last_tsih % _TSIH_MAX + 1
            if self._last_tsih not in used:
                return self._last_tsih
        raise OverflowError("every session handle is taken")

    def find(self, key: "SessionKey") -> "tuple[Session, Connection] | None":
        """The session with the same identity, which a new login would reinstate."""
        return self._by_key.get(key)

    def by_id(self, tsih: int) -> "tuple[Session, Connection] | None":
        """The session with a handle."""
        return next((pair for pair in self._by_key.values() if pair[0].tsih == tsih), None)

    def of_target(self, target: "Target") -> "list[tuple[Session, Connection]]":
        """The sessions with one target."""
        return [pair for pair in self._by_key.values() if pair[0].target is target]

    def add(self, session: "Session", connection: "Connection") -> None:
        """A session has logged in."""
        assert session.key not in self._by_key, f"{session} is there already"
        self._by_key[session.key] = session, connection

    def discard(self, session: "Session") -> None:
        """A session is over; idempotent."""
        pair = self._by_key.get(session.key)
        if pair is not None and pair[0] is session:
            del self._by_key[session.key]

    def end(self, key: "SessionKey", why: str, then: Callable[[], None]) -> None:
        """End the session with an identity, if there is one; ``then`` when its last task has ended."""
        pair = self._by_key.get(key)
        if pair is None:
            then()
            return
        session, connection = pair
        self.discard(session)
        phase = connection.session_phase
        assert phase is not None
        phase.close(then)
        connection.close_when_sent(why)
