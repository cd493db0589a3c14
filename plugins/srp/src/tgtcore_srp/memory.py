"""How much memory the channels of a transport may hold together: slots, descriptor tables and data on its way."""

from collections.abc import Callable


class Memory:
    """A budget that all channels share.

    One command's data may always go on, however large it is, so that every command gets its turn; so the budget can be exceeded by
    one command.  Once something was refused, memory counts as short until half of the budget is free again: meanwhile request
    limits shrink.

    :param budget_bytes: the most that is held together.
    """

    __slots__ = ("_eased", "budget_bytes", "data_bytes", "held_bytes", "refusals", "short")

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.held_bytes = 0
        """What slots, tables and data take now."""
        self.data_bytes = 0
        """What data takes of it, with the descriptor tables."""
        self.refusals = 0
        """How often there was not enough."""
        self.short = False
        """Whether request limits are to shrink."""
        self._eased: dict[Callable[[], None], None] = {}

    # ---- slots ------------------------------------------------------------------------------------------------------

    def reserve(self, length: int) -> bool:
        """Take memory for slots, which lasts as long as a channel; False when there is not enough."""
        if self.held_bytes + length > self.budget_bytes:
            return self._refuse()
        self.held_bytes += length
        return True

    def release(self, length: int) -> None:
        """Give back what :meth:`reserve` has taken."""
        self.held_bytes -= length

    # ---- data and tables ----------------------------------------------------------------------------------------------

    def take(self, length: int) -> bool:
        """Take memory for data of a command; False when there is not enough."""
        held = self.held_bytes + length
        if held > self.budget_bytes and self.data_bytes:
            return self._refuse()
        self.held_bytes = held
        self.data_bytes += length
        return True

    def give(self, length: int) -> None:
        """Give back what :meth:`take` or :meth:`buffer` has taken."""
        self.held_bytes -= length
        self.data_bytes -= length
        if self.short:
            self._look()

    def buffer(self, length: int) -> bytearray | None:
        """A buffer, whose length is taken; None when there is not enough."""
        if not self.take(length):
            return None
        try:
            return self.allocate(length)
        except MemoryError:
            self.give(length)
            self._refuse()
            return None

    def allocate(self, length: int) -> bytearray:
        """Where buffers come from.

        :raises MemoryError: the machine has no more.
        """
        return bytearray(length)

    # ---- pressure -----------------------------------------------------------------------------------------------------

    def when_eased(self, told: Callable[[], None]) -> None:
        """Call ``told`` once memory is not short any more; asking twice is the same as once."""
        self._eased[told] = None

    def forget(self, told: Callable[[], None]) -> None:
        """Who waited in :meth:`when_eased` does not any more; idempotent."""
        self._eased.pop(told, None)

    def _refuse(self) -> bool:
        self.refusals += 1
        self.short = True
        self._look()
        return False

    def _look(self) -> None:
        """See whether half of what data may have is free again."""
        slots = self.held_bytes - self.data_bytes
        if self.data_bytes > (self.budget_bytes - slots) // 2:
            return
        self.short = False
        waiting, self._eased = self._eased, {}
        for told in waiting:
            told()
