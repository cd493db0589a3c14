"""Why a front end is not served."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """That a front end can't be served, for as long as somebody remembers it.

    :param why: the message.
    :param may_change: whether it may be served later without anything new from the guest.
    :param passes: whether that may be a matter of moments: another back end lets go of the ring, or the target takes nobody.
    :param would_overtake: whether commands that the guest has sent before have not ended: that passes, however long it takes.
    """

    why: str
    may_change: bool = False
    passes: bool = False
    would_overtake: bool = False

    def __str__(self) -> str:
        return self.why


class Refused(Exception):
    """A front end can't be served; see :class:`Refusal`, which is what may be kept: an error keeps all that its calls knew."""

    def __init__(
        self, why: str, *, may_change: bool = False, passes: bool = False, would_overtake: bool = False
    ) -> None:
        super().__init__(why)
        self.refusal = Refusal(why, may_change, passes, would_overtake)
