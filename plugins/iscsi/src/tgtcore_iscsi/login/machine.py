"""The state machine of one connection's login: requests in, responses and one outcome out (RFC 7143 6.3)."""

import enum

from tgtcore_iscsi.digest import padding
from tgtcore_iscsi.errors import LocalProtocolError, RemoteProtocolError
from tgtcore_iscsi.limits import LOGIN_DATA_SEGMENT_BYTES_MAX
from tgtcore_iscsi.login.events import Event, LoginDone, LoginFailed, Send, SessionWanted
from tgtcore_iscsi.login.exchange import Exchange
from tgtcore_iscsi.login.headers import RequestCheck, answer_flags, response_header, wanted_stage
from tgtcore_iscsi.login.opening import read_candidate
from tgtcore_iscsi.login.policy import Candidate, LoginPolicy, Refusal, Seat
from tgtcore_iscsi.pdu.codes import LOGIN_CONTINUE, OPCODE_MASK, LoginStatus, Opcode, Stage
from tgtcore_iscsi.pdu.requests import LOGIN_REQUEST, LoginRequest
from tgtcore_iscsi.text import Pairs, TextAssembler, TextOutbox, encode_pairs


class State(enum.Enum):
    """What a login waits for."""

    REQUEST = enum.auto()
    """A login request."""
    PIECE = enum.auto()
    """An empty login request that fetches the rest of a long answer."""
    SEAT = enum.auto()
    """The caller's answer to :class:`SessionWanted`."""
    OVER = enum.auto()
    """Nothing: the outcome was told."""


class Login:
    """One connection's way to the full feature phase.

    Feed every PDU to :meth:`receive`, answer :class:`SessionWanted`, act on the events in order.  The caller
    keeps the time: a login that gets no more requests waits for ever.
    """

    def __init__(self, policy: LoginPolicy, *, stat_sn: int = 0) -> None:
        """Begin; the first response has status sequence number ``stat_sn``."""
        self.state = State.REQUEST
        self._policy = policy
        self._stat_sn = stat_sn
        self._check = RequestCheck()
        self._request: LoginRequest | None = None
        self._text = TextAssembler()
        self._exchange: Exchange | None = None
        self._outbox = TextOutbox()
        self._transit: Stage | None = None
        self._last_piece = b""

    @property
    def candidate(self) -> Candidate | None:
        """Who logs in, once that is known."""
        return None if self._exchange is None else self._exchange.candidate

    def receive(self, bhs: bytes | bytearray | memoryview, data: bytes) -> list[Event]:
        """Take one PDU: its header, and its data segment without padding.

        :raises LocalProtocolError: the login is over.
        """
        if self.state is State.OVER:
            raise LocalProtocolError("login is over, the PDU belongs to the next phase")
        opcode = bhs[0] & OPCODE_MASK
        if opcode != Opcode.LOGIN_REQUEST or self.state is State.SEAT:
            return self._fail(
                Refusal(LoginStatus.INVALID_DURING_LOGIN, f"opcode {opcode:#04x} out of place in a login")
            )
        request = self._request = LOGIN_REQUEST.parse(bhs)
        try:
            self._check.check(request)
            if self.state is State.PIECE:
                return self._continue_answer(request, data)
            pairs = self._text.add(data, more=bool(request.flags & LOGIN_CONTINUE))
            if pairs is None:
                return [self._response(request, b"", answer_flags(self._check.stage))]
            return self._answer(request, pairs)
        except RemoteProtocolError as error:
            return self._fail(Refusal(error.status, str(error)))

    def grant(self, seat: Seat) -> list[Event]:
        """Answer :class:`SessionWanted` with a place in a session; the login succeeds.

        :raises LocalProtocolError: nothing was asked.
        """
        request, exchange = self._waiting_for_seat()
        self.state = State.OVER
        flags = answer_flags(self._check.stage, transit=Stage.FULL_FEATURE)
        answer = self._response(request, self._last_piece, flags, seat)
        done = LoginDone(
            candidate=exchange.candidate,
            admission=exchange.admission,
            chap_name=exchange.chap_name,
            parameters=exchange.parameters,
            seat=seat,
            stat_sn=self._stat_sn,
        )
        return [answer, done]

    def refuse(self, refusal: Refusal) -> list[Event]:
        """End the login from this side: no place in a session, no more time, no more service.

        :raises LocalProtocolError: the login is over.
        """
        if self.state is State.OVER:
            raise LocalProtocolError("login is over and can no longer be refused")
        return self._fail(refusal)

    def _waiting_for_seat(self) -> tuple[LoginRequest, Exchange]:
        if self.state is not State.SEAT or self._exchange is None or self._request is None:
            raise LocalProtocolError("login did not ask for a session")
        return self._request, self._exchange

    def _answer(self, request: LoginRequest, pairs: Pairs) -> list[Event]:
        """Answer the complete text of a request."""
        if self._exchange is None:
            opened = self._open(request, pairs)
            if isinstance(opened, Refusal):
                return self._fail(opened)
            self._exchange = opened
        answers, self._transit = self._exchange.answer(pairs, self._check.stage, wanted_stage(request))
        self._outbox = TextOutbox((encode_pairs(answers),))
        return self._send_piece(request, self._exchange)

    def _open(self, request: LoginRequest, pairs: Pairs) -> Exchange | Refusal:
        """Find out who asks for what, and whether it exists."""
        candidate = read_candidate(request, dict(pairs))
        session = self._policy.session_for(candidate) if candidate.tsih else None
        if isinstance(session, Refusal):
            return session
        admission = self._policy.find_target(candidate)
        if isinstance(admission, Refusal):
            return admission
        return Exchange(self._policy, candidate, admission, session)

    def _continue_answer(self, request: LoginRequest, data: bytes) -> list[Event]:
        if data or self._exchange is None:
            raise RemoteProtocolError("new text before the last answer was fetched")
        return self._send_piece(request, self._exchange)

    def _send_piece(self, request: LoginRequest, exchange: Exchange) -> list[Event]:
        """Send what fits of the answer; with its last piece the stage changes."""
        piece, more = self._outbox.next_piece(LOGIN_DATA_SEGMENT_BYTES_MAX)
        self.state = State.PIECE if more else State.REQUEST
        if not more and self._transit is Stage.FULL_FEATURE:
            self.state = State.SEAT
            self._last_piece = piece
            return [
                SessionWanted(
                    exchange.candidate, exchange.admission, exchange.chap_name, exchange.parameters, request.cmd_sn
                )
            ]
        answer = self._response(request, piece, answer_flags(self._check.stage, more=more, transit=self._transit))
        if not more and self._transit is not None:
            self._check.stage = self._transit
        return [answer]

    def _response(self, request: LoginRequest, piece: bytes, flags: int, seat: Seat | None = None) -> Send:
        header = response_header(request, seat, flags=flags, length=len(piece), stat_sn=self._stat_sn)
        self._stat_sn = self._stat_sn + 1 & 0xFFFFFFFF
        return Send(header + piece + padding(len(piece)))

    def _fail(self, refusal: Refusal) -> list[Event]:
        """End the login, and tell the initiator why if it has spoken iSCSI so far."""
        self.state = State.OVER
        if self._request is None:
            return [LoginFailed(None, refusal.message)]
        text = encode_pairs([("TargetAddress", refusal.address)]) if refusal.address else b""
        header = response_header(
            self._request,
            None,
            flags=answer_flags(self._check.stage),
            length=len(text),
            stat_sn=self._stat_sn,
            status=refusal.status,
        )
        return [Send(header + text + padding(len(text))), LoginFailed(refusal.status, refusal.message)]
