"""From a successful login to a session: reinstatement, the I_T nexus, the full feature phase."""

import logging
from collections.abc import Callable

from tgtcore import Draining, Host, TgtError, signals
from tgtcore_iscsi.discovery import FindTargets
from tgtcore_iscsi.full_feature import FullFeature
from tgtcore_iscsi.gatekeeper import initiator_port, no_session, target_port
from tgtcore_iscsi.login.events import LoginDone, LoginFailed, SessionWanted
from tgtcore_iscsi.login.policy import Admission, Candidate, Refusal, Seat
from tgtcore_iscsi.login_phase import LoginPhase
from tgtcore_iscsi.members import Member, Members
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.phase import SessionPhase
from tgtcore_iscsi.session import CommandWindow, Session, SessionKey
from tgtcore_iscsi.sessions import Sessions

_log = logging.getLogger(__name__)
_MASK = 0xFFFFFFFF


class Reception:
    """Gives logins their place.

    :param queue_depth: asked at each login: the size of the command window.
    :param find_targets: what SendTargets may tell on a connection.
    """

    def __init__(
        self,
        host: Host,
        members: Members,
        sessions: Sessions,
        queue_depth: Callable[[], int],
        find_targets: Callable[[Member], FindTargets],
    ) -> None:
        self._host = host
        self._members = members
        self._sessions = sessions
        self._queue_depth = queue_depth
        self._find_targets = find_targets
        self._seated: Session | None = None
        """Of the login that is being granted its place."""

    # ---- a place ------------------------------------------------------------------------------------------------------

    def session_wanted(self, phase: LoginPhase, wanted: SessionWanted) -> None:
        """Give a login its place; what it reinstates ends first, to its last task."""
        if wanted.candidate.tsih:
            self._reinstate_connection(phase, wanted)
        else:
            self._reinstate_session(phase, wanted)

    def _reinstate_session(self, phase: LoginPhase, wanted: SessionWanted) -> None:
        """RFC 7143 6.3.5: a session with the same identity, if there is one, ends; the login begins a new one."""

        def seat() -> None:
            member = self._waiting(phase)
            if member is None:
                return
            former = self._sessions.find(_key(wanted.candidate, wanted.admission))
            if former is not None:
                former[1].close_when_sent("the initiator has logged in again")
                self._sessions.end(former[0], seat)
                return
            try:
                session = self._new_session(member, wanted)
            except OverflowError as error:
                phase.refuse(Refusal(LoginStatus.OUT_OF_RESOURCES, str(error)))
            except Draining as error:
                phase.refuse(Refusal(LoginStatus.SERVICE_UNAVAILABLE, str(error)))
            except TgtError as error:
                phase.refuse(Refusal(LoginStatus.TARGET_ERROR, str(error)))
            else:
                self._seat(phase, session, wanted)

        seat()

    def _reinstate_connection(self, phase: LoginPhase, wanted: SessionWanted) -> None:
        """RFC 7143 6.3.4: the session and its nexus go on, the old connection and its tasks end."""
        key, tsih = _key(wanted.candidate, wanted.admission), wanted.candidate.tsih

        def seat() -> None:
            session.heirs -= 1
            pair = self._sessions.find(key, tsih)
            if pair is None or pair[0].ending:
                phase.refuse(no_session(tsih))
            elif pair[1] is connection and self._waiting(phase):
                self._seat(phase, session, wanted)
            elif pair[1] is connection and not session.heirs:
                self._sessions.end(session)  # it has lost its old connection and will not get a new one
            elif self._waiting(phase):
                self._reinstate_connection(phase, wanted)  # another one was faster: it is the old connection now

        pair = self._sessions.find(key, tsih)
        if pair is None or pair[0].ending:
            phase.refuse(no_session(tsih))
            return
        session, connection = pair
        member = self._members.of(connection)
        if member is not None:
            member.session = None
        old = connection.session_phase
        assert isinstance(old, FullFeature)
        session.heirs += 1
        old.hand_over(seat)
        connection.close_when_sent(f"{session} has a new connection")

    def _new_session(self, member: Member, wanted: SessionWanted) -> Session:
        """One with its nexus, if it is not for discovery.

        :raises OverflowError: there are as many as there can be.
        :raises TgtError: from :meth:`Host.open_nexus`.
        """
        candidate, admission = wanted.candidate, wanted.admission
        tsih, target, nexus = self._sessions.new_tsih(), admission.target, None
        if target is not None:
            port = initiator_port(candidate.initiator_name, candidate.isid, member.channel.peer)
            nexus = self._host.open_nexus(target, port, target_port(target, admission.portal_group_tag))
        window = CommandWindow(wanted.cmd_sn, self._queue_depth())
        return Session(_key(candidate, admission), tsih, candidate.cid, target, nexus, window)

    def _seat(self, phase: LoginPhase, session: Session, wanted: SessionWanted) -> None:
        """Let a login have its session, with which :meth:`logged_in` is called at once."""
        depth = self._queue_depth()
        session.window = CommandWindow(wanted.cmd_sn, depth)
        self._seated = session
        phase.grant(Seat(session.tsih, wanted.cmd_sn, (wanted.cmd_sn + depth - 1) & _MASK))

    def _waiting(self, phase: LoginPhase) -> Member | None:
        """Whose login it is that still waits for its place, if it does."""
        return self._members.of(phase.connection) if phase.waiting else None

    # ---- the full feature phase -----------------------------------------------------------------------------------------

    def logged_in(self, phase: LoginPhase, done: LoginDone) -> None:
        """Begin the full feature phase."""
        connection = phase.connection
        member, session, self._seated = self._members.of(connection), self._seated, None
        assert member is not None
        assert session is not None, "who is granted a place has a session"
        member.pinged = self._host.loop.time()
        find = self._find_targets(member)
        if session.target is None:
            connection.enter_full_feature(SessionPhase(connection, session, done.parameters, done.stat_sn, find))
            return
        member.session = session
        connection.enter_full_feature(FullFeature(connection, session, done.parameters, done.stat_sn, find))
        self._sessions.put(session, connection)
        _log.info("%s logged in from %s", session, connection.peer)

    def login_failed(self, phase: LoginPhase, failed: LoginFailed) -> None:
        """Tell whoever listens."""
        candidate = phase.login.candidate
        _log.warning("login from %s refused: %s", phase.connection.peer, failed.message)
        signals.emit(
            signals.login_refused,
            None,
            initiator=candidate.initiator_name if candidate else "",
            address=phase.connection.peer,
            reason=failed.message,
        )


def _key(candidate: Candidate, admission: Admission) -> SessionKey:
    name = admission.target.name if admission.target is not None else ""
    return SessionKey(candidate.initiator_name, candidate.isid, name, admission.portal_group_tag)
