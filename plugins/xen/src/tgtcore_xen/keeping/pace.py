"""How often a guest may have its nodes looked at."""

from collections.abc import Callable


class Pace:
    """Lets many through at once, but few in the long run.

    :param burst: how many may come at once.
    :param each_s: after how long one more may.
    :param now: the time in seconds.
    """

    def __init__(self, burst: int, each_s: float, now: Callable[[], float]) -> None:
        self._burst = burst
        self._each_s = each_s
        self._now = now
        self._free_at = now() - burst * each_s

    def wait_s(self) -> float:
        """Count one; how long it has to wait."""
        now = self._now()
        self._free_at = max(self._free_at, now - self._burst * self._each_s) + self._each_s
        return max(0.0, self._free_at - now)
