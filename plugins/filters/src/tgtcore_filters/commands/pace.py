"""How fast commands may go: a token bucket, kept as the one time that describes it (GCRA)."""

_AT_ONCE_S = 1e-9
"""Less than this is an error of the arithmetic."""


class Pace:
    """One limit.

    :param per_second: how much of something may pass in a second, in the long run.
    :param burst_seconds: what was not used is good for so many seconds' worth at once.
    """

    def __init__(self, per_second: float, burst_seconds: float) -> None:
        self._per_second = per_second
        self._burst_s = burst_seconds
        self._paid_s = 0.0
        """Up to which time everything that has passed is paid for."""

    def wait_s(self, now_s: float) -> float:
        """For how long nothing may pass; 0: the next may pass now, however much it is."""
        wait = self._paid_s - self._burst_s - now_s
        return wait if wait > _AT_ONCE_S else 0.0

    def take(self, now_s: float, amount: float) -> None:
        """Something passes now."""
        self._paid_s = max(self._paid_s, now_s) + amount / self._per_second
