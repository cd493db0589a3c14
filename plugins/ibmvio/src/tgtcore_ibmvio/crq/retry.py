"""Asking a platform again that has no time now."""

from collections.abc import Callable
from typing import Protocol

from tgtcore_ibmvio.platform import Hcall

AGAIN = frozenset(
    (
        Hcall.BUSY,
        Hcall.IN_PROGRESS,
        Hcall.LONG_BUSY_ORDER_1_MS,
        Hcall.LONG_BUSY_ORDER_10_MS,
        Hcall.LONG_BUSY_ORDER_100_MS,
        Hcall.LONG_BUSY_ORDER_1_S,
        Hcall.LONG_BUSY_ORDER_10_S,
        Hcall.LONG_BUSY_ORDER_100_S,
    )
)
"""With these the hypervisor wants to be asked again."""
ASK_AGAIN_S = 0.001
ASK_AGAIN_S_MAX = 1.0
GIVE_UP_S = 30.0
"""A platform that says BUSY for so long does not work, unless it has asked for more time."""
_WAITS_MAX = 10
"""Nor does one that lets us wait so often as long as it has asked for."""


class Timer(Protocol):
    """A call that is going to be made, as :meth:`asyncio.loop.call_later` gives it."""

    def cancel(self) -> None:
        """Do not make it."""


Later = Callable[[float, Callable[[], None]], Timer]
"""Call a function after so many seconds."""


class Retry:
    """One request to a platform until it has an answer.

    :param ask: the hypervisor call.
    :param then: told the answer, perhaps before :meth:`start` returns; one of :data:`AGAIN` when it was given up.
    """

    def __init__(self, later: Later, ask: Callable[[], Hcall], then: Callable[[Hcall], None]) -> None:
        self._later = later
        self._ask = ask
        self._then = then
        self._delay_s = ASK_AGAIN_S
        self._waited_s = 0.0
        self._timer: Timer | None = None

    def start(self) -> None:
        """Ask."""
        self._timer = None
        answer = self._ask()
        wait_s = answer.wait_s or self._delay_s
        if answer not in AGAIN or self._waited_s >= max(GIVE_UP_S, _WAITS_MAX * answer.wait_s):
            self._then(answer)
            return
        self._timer = self._later(wait_s, self.start)
        self._waited_s += wait_s
        self._delay_s = min(2 * self._delay_s, ASK_AGAIN_S_MAX)

    def cancel(self) -> None:
        """Ask no more, and tell nobody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
