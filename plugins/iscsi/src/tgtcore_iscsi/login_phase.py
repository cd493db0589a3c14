"""A connection that is logging in: the login state machine between the connection and the transport."""

from typing import TYPE_CHECKING, Protocol

from tgtcore_iscsi.limits import BHS_BYTES
from tgtcore_iscsi.login.events import Event, LoginDone, LoginFailed, Send, SessionWanted
from tgtcore_iscsi.login.machine import Login
from tgtcore_iscsi.login.policy import LoginPolicy, Refusal, Seat

if TYPE_CHECKING:
    from tgtcore_iscsi.connection import Connection


class Reception(Protocol):
    """What the transport does with logins."""

    def session_wanted(self, phase: "LoginPhase", wanted: SessionWanted) -> None:
        """Call ``phase.grant`` or ``phase.refuse``, now or later."""

    def logged_in(self, phase: "LoginPhase", done: LoginDone) -> None:
        """Put the connection into the full feature phase."""

    def login_failed(self, phase: "LoginPhase", failed: LoginFailed) -> None:
        """Take note."""


class LoginPhase:
    """The login of one connection."""

    def __init__(self, connection: "Connection", policy: LoginPolicy, reception: Reception) -> None:
        self.connection = connection
        self.login = Login(policy)
        self._reception = reception

    def request(self, buffer: bytearray, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Handle one login request."""
        header, data = bytes(buffer[at : at + BHS_BYTES]), bytes(buffer[data_at : data_at + data_length])
        self._act(self.login.receive(header, data))

    def grant(self, seat: Seat) -> None:
        """There is a place for the session."""
        self._act(self.login.grant(seat))

    def refuse(self, refusal: Refusal) -> None:
        """There is none."""
        self._act(self.login.refuse(refusal))

    def _act(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Send(pdu):
                    self.connection.send_raw(pdu)
                case SessionWanted():
                    self._reception.session_wanted(self, event)
                case LoginDone():
                    self._reception.logged_in(self, event)
                case LoginFailed(message=message):
                    self._reception.login_failed(self, event)
                    self.connection.close_when_sent(message)
