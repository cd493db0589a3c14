"""A connection that is logging in: the login state machine between the connection and the transport."""

import logging
from typing import TYPE_CHECKING, Protocol

from tgtcore_iscsi.limits import BHS_BYTES
from tgtcore_iscsi.login.events import Event, LoginDone, LoginFailed, Send, SessionWanted
from tgtcore_iscsi.login.machine import Login, State
from tgtcore_iscsi.login.policy import LoginPolicy, Refusal, Seat
from tgtcore_iscsi.pdu.codes import LoginStatus

if TYPE_CHECKING:
    from tgtcore_iscsi.connection import Connection

_log = logging.getLogger(__name__)


class Receptionist(Protocol):
    """What the transport does with logins."""

    def session_wanted(self, phase: "LoginPhase", wanted: SessionWanted) -> None:
        """Call ``phase.grant`` or ``phase.refuse``, now or later."""

    def logged_in(self, phase: "LoginPhase", done: LoginDone) -> None:
        """Put the connection into the full feature phase."""

    def login_failed(self, phase: "LoginPhase", failed: LoginFailed) -> None:
        """Take note."""


class LoginPhase:
    """The login of one connection."""

    def __init__(self, connection: "Connection", policy: LoginPolicy, reception: Receptionist) -> None:
        self.connection = connection
        self.login = Login(policy)
        self._reception = reception

    def request(self, buffer: bytearray, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Handle one login request."""
        header, data = bytes(buffer[at : at + BHS_BYTES]), bytes(buffer[data_at : data_at + data_length])
        try:
            events = self.login.receive(header, data)
        except ValueError as error:  # an account whose secrets can't be used: the configuration's fault, not the peer's
            _log.warning("%s: %s", self.connection, error)
            events = self.login.refuse(Refusal(LoginStatus.TARGET_ERROR, "the target's accounts can't be used"))
        self._act(events)

    def grant(self, seat: Seat) -> None:
        """There is a place for the session."""
        if self.waiting:
            self._act(self.login.grant(seat))

    def refuse(self, refusal: Refusal) -> None:
        """There is none."""
        if self.waiting:
            self._act(self.login.refuse(refusal))

    @property
    def waiting(self) -> bool:
        """Whether the login still waits for its place: not when the initiator has failed meanwhile."""
        return self.login.state is State.SEAT and not self.connection.closing

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
