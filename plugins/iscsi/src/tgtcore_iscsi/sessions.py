"""The sessions of the transport: who is logged in, session handles, and reinstatement."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tgtcore import Target
    from tgtcore_iscsi.connection import Connection
    from tgtcore_iscsi.session import Session, SessionKey

_TSIH_MAX = 0xFFFF


class Sessions:
    """Every normal session with its connection, from its login until its last task has ended.

    A session whose connection is lost stays as long as a worker is busy for it: a new session of the same initiator port must
    not begin before, or a write of the old one could land after the new one's.
    """

    def __init__(self) -> None:
        self._by_key: dict[SessionKey, tuple[Session, Connection]] = {}
        self._by_tsih: dict[int, Session] = {}
        self._last_tsih = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> "Iterator[tuple[Session, Connection]]":
        return iter(list(self._by_key.values()))

    def new_tsih(self) -> int:
        """A target session identifying handle that no session has.

        :raises OverflowError: all 65535 are taken.
        """
        for _ in range(_TSIH_MAX):
            self._last_tsih = self._last_tsih % _TSIH_MAX + 1
            if self._last_tsih not in self._by_tsih:
                return self._last_tsih
        raise OverflowError("every session handle is taken")

    def find(self, key: "SessionKey", tsih: int = 0) -> "tuple[Session, Connection] | None":
        """The session with an identity, which a new login would reinstate.

        :param tsih: not 0: only if it has this handle.
        """
        pair = self._by_key.get(key)
        return pair if pair is not None and tsih in (0, pair[0].tsih) else None

    def by_id(self, tsih: int) -> "tuple[Session, Connection] | None":
        """The session with a handle."""
        session = self._by_tsih.get(tsih)
        return None if session is None else self._by_key[session.key]

    def of_target(self, target: "Target") -> "list[tuple[Session, Connection]]":
        """The sessions with one target."""
        return [pair for pair in self._by_key.values() if pair[0].target is target]

    def put(self, session: "Session", connection: "Connection") -> None:
        """A session has logged in, or has a new connection."""
        there = self._by_key.get(session.key)
        assert there is None or there[0] is session, f"{there} is there already"
        self._by_key[session.key] = session, connection
        self._by_tsih[session.tsih] = session

    def end(self, session: "Session", then: Callable[[], None] = lambda: None) -> None:
        """Abort the tasks of a session; when the last has ended, the session is gone and ``then`` is called."""
        pair = self._by_key.get(session.key)
        if pair is None or pair[0] is not session:
            then()
            return
        phase = pair[1].session_phase
        assert phase is not None

        def gone() -> None:
            self._discard(session)
            then()

        phase.close(gone)

    def _discard(self, session: "Session") -> None:
        pair = self._by_key.get(session.key)
        if pair is not None and pair[0] is session:
            del self._by_key[session.key], self._by_tsih[session.tsih]
