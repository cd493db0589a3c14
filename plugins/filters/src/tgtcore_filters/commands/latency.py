"""How long commands take, as a histogram whose classes double."""

from typing import Any

_CLASSES = 41
"""The last one begins at 2^39 us, six days."""


class Latency:
    """A histogram: class n has what took less than 2^n microseconds, and not less than half of that."""

    __slots__ = ("_classes", "_count", "_longest_us", "_sum_us")

    def __init__(self) -> None:
        self._classes = [0] * _CLASSES
        self._count = self._sum_us = self._longest_us = 0

    def add(self, seconds: float) -> None:
        """Count one."""
        us = max(0, int(seconds * 1e6))
        self._classes[min(us.bit_length(), _CLASSES - 1)] += 1
        self._count += 1
        self._sum_us += us
        self._longest_us = max(self._longest_us, us)

    def figures(self) -> dict[str, Any]:
        """Mean and longest, and the classes that are not empty by what they are less than; all in microseconds."""
        return {
            "mean_us": self._sum_us // self._count if self._count else 0,
            "longest_us": self._longest_us,
            "below_us": {str(1 << n): count for n, count in enumerate(self._classes) if count},
        }
