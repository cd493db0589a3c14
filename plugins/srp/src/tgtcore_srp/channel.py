"""One RDMA channel from the target's side: its states, and where what arrives goes."""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tgtcore import log_first
from tgtcore_srp.commands import Commands
from tgtcore_srp.credits import REQUEST_LIMIT_MIN, Credits
from tgtcore_srp.errors import Rejected
from tgtcore_srp.iu.descriptors import TABLES_BYTES_MAX
from tgtcore_srp.iu.header import HEADER_BYTES, opcode_and_tag
from tgtcore_srp.iu.opcodes import LogoutReason, Opcode, RejectReason
from tgtcore_srp.limits import COMPLAINTS_LOGGED_MAX, DATA_BYTES_MAX
from tgtcore_srp.login import Login
from tgtcore_srp.memory import Share
from tgtcore_srp.requests import Requests
from tgtcore_srp.slots import RESERVE, Slot, Slots
from tgtcore_srp.states import State
from tgtcore_srp.task_management import TaskManagement

if TYPE_CHECKING:
    from tgtcore_srp.fabric import Fabric
    from tgtcore_srp.memory import Memory
    from tgtcore_srp.port import SrpPort
    from tgtcore_srp.quirks import Quirks
    from tgtcore_srp.session import Session

_log = logging.getLogger(__name__)

_CUT = 256
"""Stands for the opcode of what is too short to have one."""

Handler = Callable[[Slot, int], None]
"""Takes an information unit: its slot and its length."""


_TAKEN: dict[State, dict[int, str]] = {
    State.NEW: {Opcode.LOGIN_REQ: "_log_in"},
    State.LOGGING_IN: {Opcode.I_LOGOUT: "_log_out"},
    State.LOGGED_IN: {
        Opcode.LOGIN_REQ: "_log_in_again",
        Opcode.TSK_MGMT: "_function",
        Opcode.CMD: "_command",
        Opcode.I_LOGOUT: "_log_out",
        Opcode.CRED_RSP: "_credit_response",
        Opcode.AER_RSP: "_unasked",
    },
    State.ENDING: {},
    State.GONE: {},
}
"""What a channel does with an information unit, by its state and the opcode."""
_REST = {
    State.NEW: "_out_of_place",
    State.LOGGING_IN: "_out_of_place",
    State.LOGGED_IN: "_out_of_place",
    State.ENDING: "_ignore",
    State.GONE: "_ignore",
}
"""What it does with all others."""


class Channel:
    """One RDMA channel, from before its login until its last command has ended.  An initiator that comes back gets a new one.

    Its fabric calls :meth:`slot` and :meth:`receive` for each information unit, and :meth:`lost` once, whoever has ended the
    channel.  None of them raises, whatever arrives, and all may be called from within calls of the fabric.

    :param name: for people, such as that of an adapter.
    :param request_limit: how many requests the initiator may have unanswered, at least
        :data:`~tgtcore_srp.credits.REQUEST_LIMIT_MIN`; there is memory for all of them, and for a few more, before the initiator is
        told.
    :param transfer_bytes_max: the most data of one command, for which there is memory at any time; None:
        :data:`~tgtcore_srp.limits.DATA_BYTES_MAX`, and a command waits its turn when others have the memory.
    :raises MemoryError: not even the memory for a login is there; the fabric turns its initiator away, or lets it wait.
    """

    def __init__(
        self,
        name: str,
        port: "SrpPort",
        fabric: "Fabric",
        memory: "Memory",
        quirks: "Quirks",
        request_limit: int,
        transfer_bytes_max: int | None = None,
    ) -> None:
        assert request_limit >= REQUEST_LIMIT_MIN
        self.name = name
        self.fabric = fabric
        self.memory = memory
        self.quirks = quirks
        self.state = State.NEW
        self.session: Session | None = None
        """While it is logged in, and until its last command has ended."""
        self.transfer_bytes_max = DATA_BYTES_MAX if transfer_bytes_max is None else transfer_bytes_max
        self.share = Share(memory)
        self._promised_bytes = 0 if transfer_bytes_max is None else transfer_bytes_max + TABLES_BYTES_MAX
        self.slots = Slots(memory, fabric.iu_bytes_max)
        if not self.slots.ensure(RESERVE):
            raise MemoryError(f"{name}: there is no memory for a login")
        self.requests = Requests(self)
        self.credits = Credits(request_limit, memory, self.requests.offer)
        self.complaints = 0
        """How many information units broke the standard, or were logins that were rejected."""
        self._port = port
        self._commands: Commands | None = None
        self.login = Login(self, port)
        self._log_in: Handler = self.login.arrived
        self._log_in_again: Handler = self.login.arrived_again
        self._command: Handler = self._out_of_place
        self._function: Handler = self._out_of_place
        self._held: deque[tuple[Slot, int]] = deque()
        self._holds = False
        """Whether what arrives has to wait for the command before it."""
        self._enter(State.NEW)
        self._is_lost = False
        self._is_still = False
        """Whether nothing is in use any more for RDMA."""
        self._is_idle = False
        """Whether its last command has ended, and none comes any more."""
        self._told: list[Callable[[], None]] = []
        port.channels.add(self)

    def __str__(self) -> str:
        return self.name

    @property
    def is_logged_in(self) -> bool:
        """Whether commands are taken."""
        return self.state is State.LOGGED_IN

    # ---- what the fabric calls --------------------------------------------------------------------------------------

    def slot(self) -> Slot | None:
        """Memory for an information unit that is about to be read in; a fabric in a hurry takes it from ``slots.free`` itself.

        A fabric that could not read it after all, and one that gets None, has lost what the initiator waits for: it calls
        :meth:`disconnect`, in the first case with :meth:`discard` before.  None means that the initiator has sent more than it may,
        and then the channel disconnects already.
        """
        free = self.slots.free
        if free:
            return free.pop()
        self.overrun()
        return None

    def slot_to_post(self) -> Slot | None:
        """Memory for an information unit that may come some time, for a fabric that has it ready before; None: there is enough.

        Such a fabric asks until it gets None: before the answer to a login goes out and before each answer to a request, which may
        bring more requests, as slots also come back without an answer of their own; and after it has handed over what has come.
        One slot is left for requests of the target.
        """
        free = self.slots.free
        return free.pop() if len(free) > 1 else None

    def discard(self, slot: Slot) -> None:
        """Nothing was read into a slot of :meth:`slot`."""
        self.slots.give(slot)

    def receive(self, slot: Slot, length: int) -> None:
        """An information unit is in the first ``length`` bytes of a slot."""
        try:
            self._handlers[slot.view[0] if length >= HEADER_BYTES else _CUT](slot, length)
        except Exception:
            self._failed()

    def lost(self) -> None:
        """The channel does not exist any more for the fabric; idempotent.

        No RDMA goes on, and the fabric calls neither ``then`` of what it had begun nor :meth:`Slot.sent`.  Commands are aborted in
        silence; see :meth:`when_gone`.
        """
        if self._is_lost:
            return
        self._is_lost = True
        self._end()
        if self._commands is not None:
            self._commands.lost()
        self._is_still = True
        self._look()

    # ---- what the transport calls -----------------------------------------------------------------------------------

    def disconnect(self, why: str, reason: int = LogoutReason.NONE) -> None:
        """End the channel from our side: the initiator is told with SRP_T_LOGOUT where that is possible; idempotent.

        Commands are aborted in silence.  It calls :meth:`Fabric.disconnect`, and it is over with :meth:`lost`.

        :param why: for the log.
        :param reason: of :class:`~tgtcore_srp.iu.opcodes.LogoutReason`, for the initiator.
        """
        if self.state in (State.ENDING, State.GONE):
            return
        _log.info("%s: disconnecting: %s", self, why)
        if self.login.is_pending:
            self.login.reject(Rejected(RejectReason.UNABLE_TO_ESTABLISH_CHANNEL, why))
        self.requests.log_out(reason)
        self._end()
        self.fabric.disconnect()

    def when_gone(self, told: Callable[[], None]) -> None:
        """Call ``told`` when the fabric has lost the channel and its last command has ended, perhaps now."""
        if self.state is State.GONE:
            told()
        else:
            self._told.append(told)

    # ---- login and logout -------------------------------------------------------------------------------------------

    def reserve(self) -> bool:
        """Have memory for all requests of the limit, and for the largest command; False when there is not enough."""
        return self.slots.ensure(self.credits.limit + RESERVE) and self.share.promise(self._promised_bytes)

    def logging_in(self) -> None:
        """A login has come, and is going to be answered."""
        self._enter(State.LOGGING_IN)

    def logged_in(self, session: "Session", flags: int, immediate_offset: int) -> None:
        """The login succeeds.

        :param flags: of :class:`~tgtcore_srp.iu.opcodes.LoginRequestFlag`.
        :param immediate_offset: see :class:`~tgtcore_srp.commands.Commands`.
        """
        self.session = session
        self._commands = Commands(self, session, immediate_offset)
        self._command, self._function = self._commands.arrived, TaskManagement(self._commands).arrived
        self.requests.agree(flags)
        self._enter(State.LOGGED_IN)
        session.join(self)
        _log.info("%s: logged in: %s", self, session)

    def logged_out(self) -> None:
        """The login fails."""
        self._enter(State.NEW)

    def _log_out(self, slot: Slot, length: int) -> None:
        self.slots.give(slot)
        _log.info("%s: logged out", self)
        session = self.session
        if session is not None and session.channels == [self]:
            session.nexus.logged_out = True
        self._end()
        self.fabric.disconnect()

    # ---- what else arrives ----------------------------------------------------------------------------------------------

    def _credit_response(self, slot: Slot, length: int) -> None:
        _, tag = opcode_and_tag(slot.view)
        if self.requests.answered(tag):
            self.slots.give(slot)
        else:
            self._unasked(slot, length)

    def _unasked(self, slot: Slot, length: int) -> None:
        self.slots.give(slot)
        self.disconnect("an answer that nobody has asked for", LogoutReason.UNEXPECTED_RESPONSE)

    def _out_of_place(self, slot: Slot, length: int) -> None:
        opcode = slot.view[0]
        self.slots.give(slot)
        if length < HEADER_BYTES:
            self.disconnect(f"an information unit of {length} bytes", LogoutReason.INVALID_LENGTH)
        else:
            self.disconnect(
                f"an information unit with opcode {opcode:#04x} while {self.state.value}", LogoutReason.INVALID_TYPE
            )

    def _ignore(self, slot: Slot, length: int) -> None:
        self.slots.give(slot)

    def complain(self, what: object) -> None:
        """Count what the initiator does wrong; the first of it is logged."""
        self.complaints += 1
        log_first(_log, logging.WARNING, self.complaints, COMPLAINTS_LOGGED_MAX, "%s: %s", self, what)

    def overrun(self) -> None:
        """More has arrived than there are credits."""
        self.disconnect("the initiator has sent more requests than its limit allows")

    def _failed(self) -> None:
        _log.exception("%s: failed at an information unit", self)
        self.disconnect("it is not known any more what was done")

    # ---- the order of commands --------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let everything wait that arrives, until :meth:`go_on`."""
        self._holds = True
        self._handlers = self._alike(self._keep)

    def _keep(self, slot: Slot, length: int) -> None:
        self._held.append((slot, length))

    def go_on(self) -> None:
        """Take what has had to wait, and then what arrives."""
        self._holds = False
        taken = self._table(State.LOGGED_IN)
        while self._held and not self._holds:
            slot, length = self._held.popleft()
            try:
                taken[slot.view[0] if length >= HEADER_BYTES else _CUT](slot, length)
            except Exception:
                self._failed()
        if self.is_logged_in and not self._holds:
            self._handlers = taken

    # ---- its end ------------------------------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self.state = state
        self._handlers = self._table(state)

    def _table(self, state: State) -> list[Handler]:
        """By opcode; a list, for each information unit is looked up in it."""
        handlers = self._alike(getattr(self, _REST[state]))
        for opcode, handler in _TAKEN[state].items():
            handlers[opcode] = getattr(self, handler)
        return handlers

    @staticmethod
    def _alike(handler: Handler) -> list[Handler]:
        """One handler for all opcodes."""
        return [handler] * (_CUT + 1)

    def _end(self) -> None:
        """Take and answer nothing any more."""
        if self.state in (State.ENDING, State.GONE):
            return
        self._enter(State.ENDING)
        self.login.give_up()
        while self._held:
            self.slots.give(self._held.popleft()[0])
        if self.session is None:
            self._is_idle = True
        else:
            assert self._commands is not None
            self._commands.close()
            self.session.leave(self, self._idle)

    def _idle(self) -> None:
        self._is_idle = True
        self._look()

    def _look(self) -> None:
        if not (self._is_still and self._is_idle) or self.state is State.GONE:
            return
        self._enter(State.GONE)
        self.slots.release()
        self.share.release()
        self.memory.forget(self.requests.offer)
        self._port.channels.discard(self)
        if self.session is not None:
            self.session.release()
        told, self._told = self._told, []
        for one in told:
            one()
