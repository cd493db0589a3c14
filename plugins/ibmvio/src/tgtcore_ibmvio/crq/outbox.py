"""Elements on their way to the partner, in order, also while its queue is full."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from tgtcore_ibmvio.crq.retry import AGAIN, Later, Timer
from tgtcore_ibmvio.crq.states import Event
from tgtcore_ibmvio.platform import Hcall

SEND_AGAIN_S = 0.0005
SEND_AGAIN_S_MAX = 0.05
STALL_S = 30.0
"""A partner that takes nothing out of its full queue for so long is not there any more."""

_SUCCESS = Hcall.SUCCESS
_LATER = AGAIN | {Hcall.DROPPED}


class Holder(Protocol):
    """What is held until an element is on its way, such as :class:`~tgtcore_srp.slots.Slot`."""

    def sent(self) -> None:
        """The element is on its way for good."""


class Outbox:
    """Sends elements; those that find the partner's queue full wait for room, and those behind them too.

    What waits is bounded by what holds it: each answer has the slot of its request.

    :param send: H_SEND_CRQ.
    :param failed: told PARTNER_CLOSED or VIOLATION when nothing that waited can be sent; it does not wait any more.
    """

    def __init__(self, send: Callable[[bytes], Hcall], later: Later, failed: Callable[[Event, str], None]) -> None:
        self.waiting: deque[tuple[bytes, Holder | None]] = deque()
        self._send = send
        self._later = later
        self._failed = failed
        self._timer: Timer | None = None
        self._delay_s = SEND_AGAIN_S
        self._stalled_s = 0.0

    def put(self, element: bytes, holder: Holder | None = None) -> None:
        """Send an element behind all others."""
        if self.waiting:
            self.waiting.append((element, holder))
            return
        answer = self._send(element)
        if answer is _SUCCESS:
            if holder is not None:
                holder.sent()
        else:
            self.waiting.append((element, holder))
            self._not_sent(answer)

    def put_once(self, element: bytes) -> None:
        """The same, unless it waits already: for what a partner may ask for time and again."""
        if all(element != other for other, _ in self.waiting):
            self.put(element)

    def clear(self) -> None:
        """Nothing that waits is going to be sent, and no holder is told."""
        self.waiting.clear()
        self._delay_s, self._stalled_s = SEND_AGAIN_S, 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _not_sent(self, answer: Hcall) -> None:
        if answer not in _LATER:
            self.clear()
            event = Event.PARTNER_CLOSED if answer is Hcall.CLOSED else Event.VIOLATION
            self._failed(event, f"the platform does not send: {answer.name}")
        elif self._stalled_s >= STALL_S:
            self.clear()
            self._failed(Event.VIOLATION, f"it has taken nothing out of its full queue for {STALL_S:g} s")
        else:
            wait_s = answer.wait_s or self._delay_s
            self._timer = self._later(wait_s, self._again)
            self._stalled_s += wait_s
            self._delay_s = min(2 * self._delay_s, SEND_AGAIN_S_MAX)

    def _again(self) -> None:
        self._timer = None
        waiting = self.waiting
        while waiting:
            element, holder = waiting[0]
            answer = self._send(element)
            if answer is not _SUCCESS:
                self._not_sent(answer)
                return
            self._delay_s, self._stalled_s = SEND_AGAIN_S, 0.0
            waiting.popleft()
            if holder is not None:
                holder.sent()
