"""One RDMA channel as its initiator sees it: what it sends, and what the target may send."""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import TypeVar

from tgtcore_srp.initiator.rules import Rules, check_login, check_reject
from tgtcore_srp.initiator.states import State
from tgtcore_srp.initiator.unanswered import Done, Unanswered
from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import Unit
from tgtcore_srp.iu.login import IT_IU_BYTES_MIN, LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import Opcode
from tgtcore_srp.iu.others import (
    CreditRequest,
    CreditResponse,
    EventRequest,
    EventResponse,
    InitiatorLogout,
    TargetLogout,
)
from tgtcore_srp.iu.response import Response

RESERVE = 1
"""Requests that commands leave for task management functions."""

_ANSWERS: Mapping[type, Callable[[int], CreditResponse | EventResponse]] = {
    CreditRequest: CreditResponse,
    EventRequest: EventResponse,
}
_Read = TypeVar("_Read")
_make = tuple.__new__


class NoCredit(Exception):
    """The request limit allows no further request now; answers and credit requests of the target change that."""


class InitiatorChannel:
    """Sends requests, pairs the target's answers with them, counts credits, and holds the target to the standard.

    It is honest by itself.  A test that wants it otherwise clears :attr:`heeds_credits` or :attr:`answers_requests`, or sends with
    :meth:`inject` what it likes.

    :param send: puts an information unit on its way, behind all that went before.
    :param rules: what the target is held to beside the standard.
    :param told: called with each request of the target, when the channel has done its part.
    :param violated: called with each :class:`~tgtcore_srp.initiator.violation.Violation`; without it :meth:`receive` raises them.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        rules: Rules | None = None,
        told: Callable[[CreditRequest | EventRequest | TargetLogout], None] | None = None,
        violated: Callable[[Violation], None] | None = None,
    ) -> None:
        self.agreed: LoginResponse | None = None
        """What the target has granted at login."""
        self.heeds_credits = True
        """Whether requests beyond the limit are refused here."""
        self.answers_requests = True
        """Whether requests of the target are answered at once; if not, see :meth:`answer_requests`."""
        self.requests: deque[CreditRequest | EventRequest] = deque()
        """Those of the target that have no answer yet."""
        self._send = send
        self._rules = rules or Rules()
        self._told = told
        self._violated = violated
        self._unanswered = Unanswered(self._rules)
        self._next_tag = count(1).__next__
        self._it_iu_bytes = IT_IU_BYTES_MIN
        self._ti_iu_bytes = IT_IU_BYTES_MIN
        self._reserve = 0
        self._login: tuple[LoginRequest, Callable[[LoginResponse | LoginReject | None], None]] | None = None
        self._enter(State.NEW)

    @property
    def credits(self) -> int:
        """How many requests may be sent now, task management functions included."""
        return self._unanswered.credits

    @property
    def room(self) -> int:
        """How many commands may be sent now."""
        return max(0, self._unanswered.credits - self._reserve)

    @property
    def unanswered(self) -> int:
        """How many requests have no answer."""
        return len(self._unanswered)

    @property
    def promised(self) -> int:
        """For how many requests the target has room, as far as it has said so: it changes by deltas other than 1 only."""
        return self._unanswered.credits + len(self._unanswered)

    # ---- what is sent -------------------------------------------------------------------------------------------------

    def login(
        self, request: LoginRequest, done: Callable[[LoginResponse | LoginReject | None], None], *, cm: bool = False
    ) -> None:
        """Ask for the channel.

        :param done: told how the target has decided; None: the fabric was lost before.
        :param cm: send the form of RDMA/CM connection requests.
        """
        self._login = request, done
        self._it_iu_bytes = request.it_iu_bytes
        self._enter(State.LOGGING_IN)
        self._send(request.build_cm() if cm else request.build())

    def command(
        self,
        lun: int,
        cdb: bytes,
        done: Done,
        data_out: BufferDescriptor | None = None,
        data_in: BufferDescriptor | None = None,
        attribute: int = 0,
        solicited: int = 0,
        immediate: bytes = b"",
    ) -> int:
        """Send a command.

        :param lun: the LUN field: eight bytes as a big-endian number.
        :param cdb: 16 bytes, or more in steps of 4.
        :param immediate: the data, if ``data_out`` is immediate.
        :returns: its tag.
        :raises NoCredit: not now.
        :raises ValueError: it would be longer than the login has said.
        """
        unanswered = self._unanswered
        if unanswered.credits <= self._reserve and self.heeds_credits:
            raise NoCredit(f"{self.state.value}, request limit {unanswered.credits}, {self._reserve} kept")
        tag = self._next_tag()
        command = _make(Command, (tag, lun, attribute, cdb, solicited, data_out, data_in))
        unit = command.build(immediate)
        if len(unit) > self._it_iu_bytes:
            raise ValueError(f"a command of {len(unit)} bytes, {self._it_iu_bytes} at most were announced")
        unanswered.command(command, done)
        self._send(unit)
        return tag

    def manage(self, function: int, lun: int, done: Done, *, task_tag: int = 0, solicited: int = 0) -> int:
        """Send a task management function.

        :param function: see :class:`~tgtcore_srp.iu.opcodes.TaskManagementFunction`.
        :param task_tag: what ABORT TASK is to abort.
        :returns: its tag.
        :raises NoCredit: not now.
        """
        if self._unanswered.credits <= 0 and self.heeds_credits:
            raise NoCredit(f"{self.state.value}, request limit {self._unanswered.credits}")
        request = TaskManagement(self._next_tag(), lun, function, task_tag, solicited)
        self._unanswered.function(request, done)
        self._send(request.build())
        return request.tag

    def logout(self) -> None:
        """End the channel; what has no answer ends without one."""
        self._send(InitiatorLogout(self._next_tag()).build())
        self._end(State.LOGGED_OUT)

    def answer_requests(self) -> None:
        """Answer what the target has requested."""
        while self.requests:
            request = self.requests.popleft()
            self._send(_ANSWERS[type(request)](request.tag).build())

    def inject(self, unit: bytes, request: Command | TaskManagement | None = None, done: Done | None = None) -> None:
        """Send anything.

        :param request: what the target will take it for, so that its answer is waited for and checked; None: nothing.  An earlier
            one with the same tag is forgotten.
        :param done: told how that ended.
        """
        if isinstance(request, Command):
            self._unanswered.command(request, done or _nobody)
        elif request is not None:
            self._unanswered.function(request, done or _nobody)
        self._send(unit)

    # ---- what arrives ---------------------------------------------------------------------------------------------------

    def receive(self, unit: Unit) -> None:
        """An information unit has arrived; whoever waits for it is told before this returns.

        :raises Violation: the target has no right to send it, unless somebody else is told of that.
        """
        try:
            if len(unit) > self._ti_iu_bytes:
                raise Violation(f"a unit of {len(unit)} bytes, {self._ti_iu_bytes} at most were announced")
            handler = self._handlers.get(unit[0]) if len(unit) else None
            if handler is None:
                raise Violation(f"unexpected unit {bytes(unit[:16]).hex()} while {self.state.value}")
            handler(unit)
        except Violation as violation:
            if self._violated is None:
                raise
            self._violated(violation)

    def lost(self) -> None:
        """The fabric is gone; what has no answer ends without one."""
        self._end(State.ENDED)

    def _login_response(self, unit: Unit) -> None:
        response = _read(LoginResponse.parse, unit)
        assert self._login is not None
        request, done = self._login
        check_login(request, response, self._rules)
        self._login = None
        self.agreed = response
        self._ti_iu_bytes = response.ti_iu_bytes
        self._reserve = min(RESERVE, response.delta - 1)
        self._unanswered.granted(response.delta)
        self._enter(State.LOGGED_IN)
        done(response)

    def _login_reject(self, unit: Unit) -> None:
        reject = _read(LoginReject.parse, unit)
        assert self._login is not None
        request, done = self._login
        check_reject(request, reject)
        self._login = None
        self._end(State.ENDED)
        done(reject)

    def _response(self, unit: Unit) -> None:
        self._unanswered.answered(_read(Response.parse, unit))

    def _target_logout(self, unit: Unit) -> None:
        logout = _read(TargetLogout.parse, unit)
        self._may_request("SRP_T_LOGOUT")
        self._end(State.ENDED)
        self._tell(logout)

    def _credit_request(self, unit: Unit) -> None:
        self._requested("SRP_CRED_REQ", _read(CreditRequest.parse, unit))

    def _event_request(self, unit: Unit) -> None:
        self._requested("SRP_AER_REQ", _read(EventRequest.parse, unit))

    def _ignore(self, unit: Unit) -> None:
        """It has crossed our logout."""

    def _requested(self, name: str, request: CreditRequest | EventRequest) -> None:
        """The standard lets a target have one unanswered request, as an initiator keeps memory for one answer."""
        self._may_request(name)
        if self.requests:
            raise Violation(f"{name} while one with tag {self.requests[0].tag:#x} has no answer")
        self._unanswered.granted(request.delta)
        self.requests.append(request)
        if self.answers_requests:
            self.answer_requests()
        self._tell(request)

    def _may_request(self, name: str) -> None:
        if not self._rules.may_request:
            raise Violation(f"{name} from a target that sends no requests")

    def _tell(self, request: CreditRequest | EventRequest | TargetLogout) -> None:
        if self._told is not None:
            self._told(request)

    def _enter(self, state: State) -> None:
        self.state = state
        self._handlers: dict[int, Callable[[Unit], None]] = {
            opcode: getattr(self, name) for opcode, name in _EXPECTED[state].items()
        }

    def _end(self, state: State) -> None:
        self._enter(state)
        self.requests.clear()
        login, self._login = self._login, None
        if login is not None:
            login[1](None)
        self._unanswered.end()


_REQUESTS = {
    Opcode.T_LOGOUT: "_target_logout",
    Opcode.CRED_REQ: "_credit_request",
    Opcode.AER_REQ: "_event_request",
}
_EXPECTED: Mapping[State, Mapping[Opcode, str]] = {
    State.NEW: {},
    State.LOGGING_IN: {Opcode.LOGIN_RSP: "_login_response", Opcode.LOGIN_REJ: "_login_reject"},
    State.LOGGED_IN: {Opcode.RSP: "_response", **_REQUESTS},
    State.LOGGED_OUT: dict.fromkeys((Opcode.RSP, *_REQUESTS), "_ignore"),
    State.ENDED: {},
}
"""What a target may send when, and who takes it."""


def _nobody(response: Response | None) -> None:
    """Nobody waits."""


def _read(parse: Callable[[Unit], _Read], unit: Unit) -> _Read:
    """Read a unit of the target.

    :raises Violation: it is malformed.
    """
    try:
        return parse(unit)
    except Malformed as error:
        raise Violation(str(error)) from error
