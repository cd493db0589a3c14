"""The service manager's watchdog: a sign of life from the event loop, so that a loop that hangs is noticed."""

import asyncio
import logging
import os
from collections.abc import MutableMapping
from typing import Self

from tgtcore.service.notify import Notifier

_log = logging.getLogger(__name__)

_PERIOD, _PROCESS = "WATCHDOG_USEC", "WATCHDOG_PID"


class Watchdog:
    """Says ``WATCHDOG=1`` twice in each period, on the loop's thread, from :meth:`start` to the end of the process.

    :param period_s: how long the service manager waits for a sign of life; 0: it does not watch.
    """

    def __init__(self, notifier: Notifier, period_s: float) -> None:
        self._notifier = notifier
        self.period_s = period_s

    @classmethod
    def from_environment(cls, notifier: Notifier, environ: MutableMapping[str, str] = os.environ) -> Self:
        """The one that the environment asks for (sd_watchdog_enabled(3)), which our children must not take for theirs."""
        period, process = environ.pop(_PERIOD, "0"), environ.pop(_PROCESS, "")
        if process not in ("", str(os.getpid())):
            period = "0"
        if not period.isdecimal():
            _log.warning("%s=%s is not a number of microseconds: there is no watchdog", _PERIOD, period)
            period = "0"
        return cls(notifier, int(period) / 1e6)

    def environment(self) -> dict[str, str]:
        """What lets a successor be watched in our place."""
        return {_PERIOD: str(round(self.period_s * 1e6))} if self.period_s else {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to tell."""
        if self.period_s:
            self._notifier.tell("WATCHDOG=1")
            loop.call_later(self.period_s / 2, self.start, loop)
