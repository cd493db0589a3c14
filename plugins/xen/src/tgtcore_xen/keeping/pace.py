"""How often a guest may have its nodes looked at, and something done about them."""

from collections.abc import Callable

TOOK_MAX_S = 2.0
"""What a look counts at most for its duration: it may have waited for others."""


class Pace:
    """Lets many through at once, but few in the long run, and those so that others have the processor for as long as they had it.

    :param burst: how many may come at once.
    :param each_s: after how long one more may.
    :param now: the time in seconds.
    """

    def __init__(self, burst: int, each_s: float, now: Callable[[], float]) -> None:
        self._burst_s = burst * each_s
        self._each_s = each_s
        self._now = now
        self._free_at = now() - self._burst_s

    def wait_s(self) -> float:
        """Count one; how long it has to wait."""
        self.count()
        return max(0.0, self._free_at - self._now())

    def count(self) -> None:
        """Count one that is let through all the same."""
        self._charge(self._each_s)

    def took(self, duration_s: float) -> None:
        """Count the duration of one that is over."""
        self._charge(min(2 * duration_s, TOOK_MAX_S))

    def _charge(self, cost_s: float) -> None:
        self._free_at = max(self._free_at, self._now() - self._burst_s) + cost_s
