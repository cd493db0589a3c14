"""Session handles."""

from collections.abc import Callable
from typing import Any

import pytest
from tgtcore_iscsi.session import CommandWindow, Session, SessionKey
from tgtcore_iscsi.sessions import Sessions

LAST = 0xFFFF


class Gone:
    """A connection whose session ends at once."""

    session_phase: Any

    def __init__(self) -> None:
        self.session_phase = self

    def close(self, gone: Callable[[], None]) -> None:
        gone()


def logged_in(sessions: Sessions, name: str) -> tuple[Session, Any]:
    key = SessionKey(name, bytes(6), "iqn.2025-01.example:disk", 1)
    session, connection = Session(key, sessions.new_tsih(), 0, None, None, CommandWindow(1, 8)), Gone()
    sessions.put(session, connection)  # type: ignore[arg-type]
    return session, connection


def test_a_session_is_found_by_its_handle_as_long_as_it_is_there() -> None:
    sessions = Sessions()
    first, second = logged_in(sessions, "one"), logged_in(sessions, "two")
    assert [sessions.by_id(one[0].tsih) for one in (first, second)] == [first, second]
    sessions.end(first[0])
    assert sessions.by_id(first[0].tsih) is None
    assert list(sessions) == [second]


def test_a_session_with_a_new_connection_keeps_its_handle() -> None:
    sessions = Sessions()
    session, _ = logged_in(sessions, "one")
    fresh: Any = Gone()
    sessions.put(session, fresh)
    assert sessions.by_id(session.tsih) == (session, fresh)


def test_handles_in_use_are_passed_over_and_may_run_out() -> None:
    sessions = Sessions()
    kept = logged_in(sessions, "one")[0]
    for _ in range(LAST - 1):
        sessions.new_tsih()
    assert sessions.new_tsih() == kept.tsih + 1
    for number in range(LAST - 1):
        logged_in(sessions, f"host{number}")
    with pytest.raises(OverflowError, match="every session handle is taken"):
        sessions.new_tsih()
