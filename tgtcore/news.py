"""Unit attention conditions that concern many I_T_L nexuses at once, kept for those that come to be later."""

from collections.abc import Iterable
from itertools import count

_moments = count()


def moment() -> int:
    """A number for this moment; later ones are larger."""
    return next(_moments)


class News:
    """What everybody was told, and when; each code once, the last time counts."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[tuple[int, int], int] = {}

    def tell(self, code: tuple[int, int]) -> None:
        """Everybody is told now."""
        self._told[code] = moment()

    def recall(self, code: tuple[int, int]) -> None:
        """It is known by other means; nobody needs to be told any more."""
        self._told.pop(code, None)

    def since(self, begin: int) -> Iterable[tuple[int, tuple[int, int]]]:
        """What was told after a moment, with the moment of each."""
        return [(when, code) for code, when in self._told.items() if when > begin]
