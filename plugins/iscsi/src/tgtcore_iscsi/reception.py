"""From a successful login to a session: reinstatement, the I_T nexus, the full feature phase."""

import logging
from collections.abc import Callable

from tgtcore import Draining, Host, signals
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
            if not self._waits(phase):
                return
            former = self._sessions.find(_key(wanted.candidate, wanted.admission))
            if former is not None:
                former[1].close_when_sent("the initiator has logged in again")
                self._sessions.end(former[0], seat)
                return
            try:
                tsih = self._sessions.new_tsih()
            except OverflowError as error:
                phase.refuse(Refusal(LoginStatus.OUT_OF_RESOURCES, str(error)))
                return
            phase.grant(self._seat(tsih, wanted))

        seat()

    def _reinstate_connection(self, phase: LoginPhase, wanted: SessionWanted) -> None:
        """RFC 7143 6.3.4: the session and its nexus go on, the old connection and its tasks end."""
        key, tsih = _key(wanted.candidate, wanted.admission), wanted.candidate.tsih

        def seat() -> None:
            session.heirs -= 1
            pair = self._sessions.find(key, tsih)
            if pair is None or pair[0].ending:
                phase.refuse(no_session(tsih))
            elif pair[1] is connection and self._waits(phase):
                phase.grant(self._seat(tsih, wanted))
            elif pair[1] is connection and not session.heirs:
                self._sessions.end(session)  # it has lost its old connection and will not get a new one
            elif self._waits(phase):
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

    def _seat(self, tsih: int, wanted: SessionWanted) -> Seat:
        return Seat(tsih, wanted.cmd_sn, (wanted.cmd_sn + self._queue_depth() - 1) & _MASK)

    def _waits(self, phase: LoginPhase) -> bool:
        return phase.waiting and self._members.of(phase.connection) is not None

    # ---- the full feature phase -----------------------------------------------------------------------------------------

    def logged_in(self, phase: LoginPhase, done: LoginDone) -> None:
        """Begin the full feature phase."""
        connection = phase.connection
        member = self._members.of(connection)
        assert member is not None
        member.pinged = self._host.loop.time()
        try:
            session = self._session(member, done)
        except Draining as error:
            connection.close_when_sent(str(error))
            return
        find = self._find_targets(member)
        if session.target is None:
            connection.enter_full_feature(SessionPhase(connection, session, done.parameters, done.stat_sn, find))
            return
        member.session = session
        connection.enter_full_feature(FullFeature(connection, session, done.parameters, done.stat_sn, find))
        self._sessions.put(session, connection)
        _log.info("%s logged in from %s", session, connection.peer)

    def _session(self, member: Member, done: LoginDone) -> Session:
        """The session that is reinstated, or a new one with its nexus.

        :raises Draining: the target is going away.
        """
        candidate, admission = done.candidate, done.admission
        window = CommandWindow(done.seat.exp_cmd_sn, self._queue_depth())
        key, target = _key(candidate, admission), admission.target
        pair = self._sessions.find(key, candidate.tsih) if candidate.tsih else None
        if pair is not None:
            pair[0].window = window
            return pair[0]
        nexus = None
        if target is not None:
            port = initiator_port(candidate.initiator_name, candidate.isid, member.channel.peer)
            nexus = self._host.open_nexus(target, port, target_port(target, admission.portal_group_tag))
        return Session(key, done.seat.tsih, candidate.cid, target, nexus, window)

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
