"""The memory that a request limit promises: one slot for each information unit that an initiator may send."""

from collections.abc import Callable
from typing import Any


class Slot:
    """Memory for one information unit, held from its arrival until its answer is on its way.

    :param iu_bytes_max: its size.
    :param returned: told when the answer is on its way.
    """

    __slots__ = ("_returned", "cookie", "view")

    def __init__(self, iu_bytes_max: int, returned: "Callable[[Slot], None]") -> None:
        self.view = memoryview(bytearray(iu_bytes_max))
        """Where the fabric puts the information unit."""
        self.cookie: Any = None
        """The fabric's own: what it needs to know to send the answer."""
        self._returned = returned

    def sent(self) -> None:
        """The answer is on its way for good."""
        self._returned(self)
