"""How much a transport's processes may log."""

from collections.abc import Callable

from tgtcore.limits import DRIVER_LOG_BURST_BYTES_MAX, DRIVER_LOG_BYTES_PER_SECOND_MAX


class LogAllowance:
    """Bytes that may be logged now: they come back with time, up to a burst.

    It outlives a process, so that one which is started again and again has no more than one that stays.

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bytes = float(DRIVER_LOG_BURST_BYTES_MAX)
        self._since = clock()

    def take(self, size: int) -> bool:
        """Take so many bytes; False: there are not so many."""
        now = self._clock()
        earned = (now - self._since) * DRIVER_LOG_BYTES_PER_SECOND_MAX
        self._bytes, self._since = min(self._bytes + earned, DRIVER_LOG_BURST_BYTES_MAX), now
        if size > self._bytes:
            return False
        self._bytes -= size
        return True
