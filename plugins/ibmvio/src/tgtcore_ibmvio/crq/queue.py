"""One queue as it is kept in step with its partner: the table of :mod:`~tgtcore_ibmvio.crq.states` put into effect."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from tgtcore_ibmvio.crq import elements
from tgtcore_ibmvio.crq.elements import FIELDS, Format, Header
from tgtcore_ibmvio.crq.outbox import Outbox
from tgtcore_ibmvio.crq.retry import Later, Retry
from tgtcore_ibmvio.crq.states import TRANSITIONS, Action, Event, State
from tgtcore_ibmvio.platform import Adapter, Hcall

_log = logging.getLogger(__name__)

HELD_MAX = 4096
"""Elements that are kept while the partner is suspended: as many as the largest queue of a client has."""

_REGISTERED = (Hcall.SUCCESS, Hcall.CLOSED)
_WITH_SESSION = (State.CONNECTED, State.SUSPENDED)
_ENDING = (State.LEAVING, State.RESETTING)
_RESTING = (State.CLOSED, State.SHUT)
_FATAL = (Event.UNKNOWN, Event.OVERRUN)
_COMMAND, _SRP = int(Header.COMMAND), int(Format.SRP)
_CONNECTED = State.CONNECTED
_unpack = FIELDS.unpack


class Owner(Protocol):
    """Who works through a queue."""

    def begin(self) -> None:
        """The partner may log in now."""

    def end(self, then: Callable[[], None]) -> None:
        """The partner is lost: abort everything in silence and send nothing more; ``then`` when the last command has ended."""

    @property
    def busy(self) -> bool:
        """Whether a request of the partner has no answer yet."""

    @property
    def receive(self) -> Callable[[int, int], None]:
        """Takes an SRP information unit: its address in the client's memory, and its length."""

    def answer_mad(self, address: int, length: int) -> None:
        """A management datagram is in the client's memory."""

    def rests(self) -> None:
        """No partner is there, and none can come: there is no queue, or one that answers no greeting."""


class Queue:
    """The queue of one adapter, a :class:`~tgtcore_ibmvio.platform.Listener`.

    :param later: calls a function after some seconds.
    """

    def __init__(self, adapter: Adapter, owner: Owner, later: Later, name: str) -> None:
        self.state = State.CLOSED
        self.discarded = 0
        """Elements that meant nothing when they came."""
        self._adapter = adapter
        self._owner = owner
        self._later = later
        self._name = name
        self._outbox = Outbox(adapter.send, later, self.fail)
        self.send = self._outbox.put
        """Send an element behind all others."""
        self._request: Retry | None = None
        self._greeting = Retry(later, self._send_init, lambda answer: None)
        self._readiness: Retry | None = None
        """Tells the platform that the partner may be suspended."""
        self.wanted = False
        """Whether a partner may come."""
        self._greeted = False
        """Whether the partner waits for an answer to its greeting."""
        self._owes_greeting = False
        """Whether the queue is so new that the partner may not know of it."""
        self._current = (Event.UNKNOWN, 0, 0)
        """The element that is looked at: what it means, and address and length in it."""
        self._held: list[tuple[Event, int, int]] = []
        self._refusals = 0
        self._actions: dict[Action, Callable[[], None]] = {
            Action.REGISTER: partial(self._ask, lambda: adapter.register(self), self._registered),
            Action.FREE: self._free,
            Action.ENABLE: partial(self._ask, adapter.enable, self._enabled),
            Action.GREET: self._greet,
            Action.SEND_INIT_COMPLETE: partial(self.send, elements.INIT_COMPLETE),
            Action.SEND_PING_RESPONSE: partial(self._outbox.put_once, elements.PING_RESPONSE),
            Action.BEGIN: owner.begin,
            Action.END: self._end,
            Action.RECEIVE: lambda: owner.receive(*self._current[1:]),
            Action.ANSWER_MAD: lambda: owner.answer_mad(*self._current[1:]),
            Action.SETTLE: self._settle,
            Action.STOP_SETTLING: self._stop_settling,
            Action.HOLD: self._hold,
            Action.RELEASE: self._release,
            Action.REMEMBER_INIT: partial(setattr, self, "_greeted", True),
            Action.FORGET_INIT: partial(setattr, self, "_greeted", False),
            Action.LOOK: self._look,
            Action.DISCARD: self._discard,
            Action.TELL_RESTS: owner.rests,
            Action.ASK_NO_MORE: self._ask_no_more,
        }

    @property
    def waiting(self) -> int:
        """Elements that wait for room in the partner's queue."""
        return len(self._outbox.waiting)

    # ---- what others want ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Have a queue, and a partner; idempotent."""
        self.wanted = True
        self._happened(Event.OPEN)

    def shut(self) -> None:
        """Have a queue and no partner: what is unfinished is aborted, and a partner that greets again waits for :meth:`open`.

        Idempotent.  To a partner it is as if the server took its time, while without a queue it would be told that nobody is there.
        """
        self.wanted = False
        self._happened(Event.SHUT)

    def close(self) -> None:
        """Have none: what is unfinished is aborted, and the partner hears of it; idempotent."""
        self.wanted = False
        self._happened(Event.CLOSE)

    def abandon(self) -> None:
        """Leave a queue that :attr:`rests` to the platform, which is about to end: nothing more is asked of it."""
        self._happened(Event.ABANDON)

    @property
    def rests(self) -> bool:
        """Whether no partner is there, and none can come."""
        return self.state in _RESTING

    def fail(self, event: Event, why: str) -> None:
        """The session can't go on.

        :param event: VIOLATION or PARTNER_CLOSED.
        """
        if self.state in _WITH_SESSION:
            _log.warning("%s: the session ends: %s", self._name, why)
        self._happened(event)

    def reset(self) -> None:
        """End the session and have a new queue, so that the partner hears of it."""
        self._happened(Event.VIOLATION)

    def ping(self) -> None:
        """Find out whether the partner has a queue."""
        if self.state is State.CONNECTED and not self._outbox.waiting:
            self.send(elements.PING)

    # ---- what happens -------------------------------------------------------------------------------------------------

    def element(self, element: bytes) -> None:
        """Take an element."""
        header, format_, status, _, length, address = _unpack(element)
        if header == _COMMAND and format_ == _SRP and self.state is _CONNECTED:
            self._owner.receive(address, length)  # what the table says too, without a look at it for every command
            return
        event = elements.meaning(header, format_, status)
        self._current = (event, address, length)
        if event in _FATAL and self.state in _WITH_SESSION:
            _log.warning("%s: the session ends for %s: %s", self._name, event.value, element.hex())
        self._happened(event)

    def _happened(self, event: Event) -> None:
        before = self.state
        self.state, actions = TRANSITIONS[before, event]
        if self.state is not before:
            _log.info("%s: %s, for %s", self._name, self.state.value, event.value)
        for action in actions:
            self._actions[action]()

    # ---- actions ------------------------------------------------------------------------------------------------------

    def _ask(self, ask: Callable[[], Hcall], then: Callable[[Hcall], None]) -> None:
        """Ask the platform something in the place of what it is being asked."""
        if self._request is not None:
            self._request.cancel()
        self._request = Retry(self._later, ask, then)
        self._request.start()

    def _registered(self, answer: Hcall) -> None:
        if answer in _REGISTERED:
            self._refusals = 0
            self._owes_greeting = True
            self._happened(Event.REGISTERED)
            return
        self._refusals += 1
        if self._refusals == 1:
            _log.error("%s: the platform gives no queue: %s; it is asked again", self._name, answer.name)
        self._happened(Event.REFUSED)

    def _free(self) -> None:
        self._greeted = False
        self._stop_settling()
        self._outbox.clear()
        self._ask(self._adapter.free, self._freed)

    def _freed(self, answer: Hcall) -> None:
        if answer is not Hcall.SUCCESS:
            _log.error("%s: the platform does not take the queue back: %s", self._name, answer.name)
        self._happened(Event.FREED)

    def _enabled(self, answer: Hcall) -> None:
        if answer is not Hcall.SUCCESS:
            self.fail(Event.VIOLATION, f"the platform does not enable the queue after a migration: {answer.name}")

    def _greet(self) -> None:
        owes, self._owes_greeting = self._owes_greeting, False
        if self._greeted:
            self._greeted = False
            self._happened(Event.INIT)
        elif owes:
            # A partner that is not there, or has no room, is going to greet by itself.
            self._greeting.cancel()
            self._greeting = Retry(self._later, self._send_init, lambda answer: None)
            self._greeting.start()

    def _send_init(self) -> Hcall:
        """Greet, unless the partner has greeted meanwhile: it would begin again."""
        return self._adapter.send(elements.INIT) if self.state is State.WAITING else Hcall.SUCCESS

    def _end(self) -> None:
        self._outbox.clear()
        self._held.clear()
        self._owner.end(partial(self._happened, Event.ENDED))

    def _settle(self) -> None:
        self._stop_settling()
        self._readiness = Retry(self._later, self._tell_readiness, self._told_readiness)
        self._readiness.start()

    def _tell_readiness(self) -> Hcall:
        if self.state in _ENDING or self._owner.busy or self._outbox.waiting:
            return Hcall.BUSY
        return self._adapter.ready_for_suspend()

    def _told_readiness(self, answer: Hcall) -> None:
        if answer is not Hcall.SUCCESS:
            _log.warning("%s: the partner can't be suspended: %s", self._name, answer.name)

    def _stop_settling(self) -> None:
        if self._readiness is not None:
            self._readiness.cancel()
            self._readiness = None

    def _hold(self) -> None:
        if len(self._held) < HELD_MAX:
            self._held.append(self._current)
        else:
            self.fail(Event.VIOLATION, f"it has sent more than {HELD_MAX} elements while it is suspended")

    def _release(self) -> None:
        held, self._held = self._held, []
        for one in held:
            self._current = one
            self._happened(one[0])

    def _look(self) -> None:
        if self.wanted:
            self._happened(Event.OPEN)
        else:
            self._owner.rests()

    def _ask_no_more(self) -> None:
        self._greeted = False
        self._outbox.clear()
        self._stop_settling()
        self._greeting.cancel()
        if self._request is not None:
            self._request.cancel()

    def _discard(self) -> None:
        self.discarded += 1
