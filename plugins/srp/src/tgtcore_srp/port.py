"""The sessions of SRP target ports: who may log in, which channels belong together, and how they end."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from tgtcore import TgtError
from tgtcore_srp.errors import Rejected
from tgtcore_srp.iu.login import LoginRequest
from tgtcore_srp.iu.opcodes import LogoutReason, MultiChannelAction, MultiChannelResult, RejectReason
from tgtcore_srp.session import Session, when_all

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_srp.channel import Channel


__all__ = ["Admission", "Rejected", "SrpPort"]


class Admission(Protocol):
    """Who may log in, as the transport decides it."""

    def open(self, initiator_port_id: bytes, target_port_id: bytes) -> "Nexus":
        """Open the nexus of a new session: find the target, ask :meth:`tgtcore.Host.admits`, then :meth:`tgtcore.Host.open_nexus`.

        :raises ~tgtcore_srp.errors.Rejected: the initiator is told why.
        :raises TgtError: from ``open_nexus``; the initiator is told that resources are insufficient.
        """


class SrpPort:
    """The target ports of a transport with their sessions; one for all of them, since identifiers tell them apart.

    :param channels_max: RDMA channels of one session.
    """

    def __init__(self, admission: Admission, channels_max: int = 1) -> None:
        self._admission = admission
        self._channels_max = channels_max
        self.channels: set[Channel] = set()
        """All that are not gone, logged in or not."""
        self._sessions: dict[tuple[bytes, bytes], Session] = {}
        self.listening = True
        """Whether new sessions are taken; while not, logins are rejected, those under way included."""

    def sessions(self) -> "list[Session]":
        """The sessions that are logged in, also those that only wait for their last command."""
        return list(self._sessions.values())

    # ---- login --------------------------------------------------------------------------------------------------------

    def login(self, channel: "Channel", request: LoginRequest, result: int = MultiChannelResult.NO_CHANNELS) -> None:
        """Answer a login, now or when the session that was there before has ended.

        :param result: what has happened to other channels of this I_T nexus.
        """
        if not channel.login.is_pending:
            return  # it was lost while it waited
        session = self._sessions.get((request.initiator_port, request.target_port))
        try:
            self._check(request)
            if session is None:
                self._open(channel, request, result)
            elif session.ending or request.channels == MultiChannelAction.SINGLE:
                self._replace(session, channel, request)
            else:
                self._join(session, channel)
        except Rejected as rejected:
            channel.login.reject(rejected)

    def _check(self, request: LoginRequest) -> None:
        if not self.listening:
            raise Rejected(RejectReason.UNABLE_TO_ESTABLISH_CHANNEL, "no logins are taken now")
        if request.channels == MultiChannelAction.SINGLE:
            return
        if request.channels != MultiChannelAction.MULTI:
            raise Rejected(
                RejectReason.UNABLE_TO_ESTABLISH_CHANNEL, f"multi-channel action {request.channels}, expected 0 or 1"
            )
        if self._channels_max == 1:
            raise Rejected(RejectReason.MULTI_CHANNEL_UNSUPPORTED, "a session has one channel here")

    def _open(self, channel: "Channel", request: LoginRequest, result: int) -> None:
        """The first channel of a session."""
        _reserve(channel)
        try:
            nexus = self._admission.open(request.initiator_port, request.target_port)
        except TgtError as error:
            raise Rejected(RejectReason.INSUFFICIENT_RESOURCES, str(error)) from error
        session = Session(request.initiator_port, request.target_port, nexus, self._gone)
        self._sessions[session.key] = session
        channel.login.accept(session, result)

    def _replace(self, session: Session, channel: "Channel", request: LoginRequest) -> None:
        """The session that is there ends first, so that none of its commands is performed after one of the new one."""
        terminates = request.channels == MultiChannelAction.SINGLE and session.channels
        result = MultiChannelResult.TERMINATED if terminates else MultiChannelResult.NO_CHANNELS
        session.when_gone(lambda: self.login(channel, request, result))
        for one in list(session.channels):
            one.disconnect("the initiator has logged in anew", LogoutReason.MULTI_CHANNEL_ACTION)

    def _join(self, session: Session, channel: "Channel") -> None:
        """One more channel of a session."""
        if len(session.channels) >= self._channels_max:
            raise Rejected(
                RejectReason.CHANNEL_LIMIT_REACHED, f"{session} has {len(session.channels)} channels already"
            )
        _reserve(channel)
        channel.login.accept(session, MultiChannelResult.MAINTAINED)

    def _gone(self, session: Session) -> None:
        del self._sessions[session.key]

    # ---- the end ------------------------------------------------------------------------------------------------------

    def drop(self, sessions: Iterable[Session], why: str, then: Callable[[], None]) -> None:
        """End sessions now; ``then`` when the last command of each has ended and its channels are gone, perhaps at once.

        :param why: for the log.
        """
        dropped = list(sessions)
        channels = [channel for session in dropped for channel in session.channels]
        when_all([one.when_gone for one in dropped], then)
        for channel in channels:
            channel.disconnect(why)

    def close(self, why: str, then: Callable[[], None]) -> None:
        """End every channel now, logged in or not; ``then`` when all are gone, with their sessions."""
        self.listening = False
        channels = list(self.channels)
        waits = [*(one.when_gone for one in channels), *(one.when_gone for one in self.sessions())]
        when_all(waits, then)
        for channel in channels:
            channel.disconnect(why)


def _reserve(channel: "Channel") -> None:
    """Have memory before it is promised."""
    if not channel.reserve():
        raise Rejected(
            RejectReason.INSUFFICIENT_RESOURCES, f"there is no memory for {channel.credits.limit} requests at one time"
        )
