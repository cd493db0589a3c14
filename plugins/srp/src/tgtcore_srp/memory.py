"""How much memory the channels of a transport may hold together: slots, descriptor tables and data on its way."""

from collections.abc import Callable


class Memory:
    """A budget that all channels share.

    A command takes all that it may need when it comes, or is not accepted; so none that was accepted waits for another's memory.
    One command may always go on, however large it is, so that every command gets its turn: then the budget is exceeded.  Once
    something was refused, memory counts as short until data has no more than half of what is left beside slots: meanwhile request
    limits shrink.

    :param budget_bytes: the most that is held together.
    :param make: where buffers come from; it may raise MemoryError.
    """

    __slots__ = ("_eased", "_make", "budget_bytes", "data_bytes", "held_bytes", "refusals", "short")

    def __init__(self, budget_bytes: int, make: Callable[[int], bytearray] = bytearray) -> None:
        self.budget_bytes = budget_bytes
        self.held_bytes = 0
        """What slots, tables and data take now."""
        self.data_bytes = 0
        """What data and descriptor tables take of it."""
        self.refusals = 0
        """How often there was not enough."""
        self.short = False
        """Whether request limits are to shrink."""
        self._make = make
        self._eased: dict[Callable[[], None], None] = {}

    def buffer(self, length: int) -> bytearray | None:
        """A part of what was taken or reserved before, as memory; None when the machine has no more."""
        try:
            return self._make(length)
        except MemoryError:
            self._refuse()
            return None

    # ---- for as long as a channel --------------------------------------------------------------------------------------

    def reserve(self, length: int) -> bool:
        """Take memory for slots; False when there is not enough."""
        if self.held_bytes + length > self.budget_bytes:
            return self._refuse()
        self.held_bytes += length
        return True

    def release(self, length: int) -> None:
        """Give back what :meth:`reserve` has taken."""
        self.held_bytes -= length

    # ---- for as long as a command --------------------------------------------------------------------------------------

    def take(self, length: int) -> bool:
        """Take memory for the data and tables of a command; False when there is not enough."""
        held = self.held_bytes + length
        if held > self.budget_bytes and self.data_bytes:
            return self._refuse()
        self.held_bytes = held
        self.data_bytes += length
        return True

    def give(self, length: int) -> None:
        """Give back what :meth:`take` has taken."""
        self.held_bytes -= length
        self.data_bytes -= length
        if self.short:
            self._look()

    # ---- while it is short ---------------------------------------------------------------------------------------------

    def when_eased(self, told: Callable[[], None]) -> None:
        """Call ``told`` once memory is not short any more; asking twice is the same as once."""
        self._eased[told] = None

    def forget(self, told: Callable[[], None]) -> None:
        """Nobody waits in :meth:`when_eased` any more; idempotent."""
        self._eased.pop(told, None)

    def _refuse(self) -> bool:
        self.refusals += 1
        self.short = True
        self._look()
        return False

    def _look(self) -> None:
        slots = self.held_bytes - self.data_bytes
        if 2 * self.data_bytes > self.budget_bytes - slots:
            return
        self.short = False
        waiting, self._eased = self._eased, {}
        for told in waiting:
            told()
