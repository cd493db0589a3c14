"""How much memory the channels of a transport may hold together: slots, descriptor tables and data on its way."""

from collections.abc import Callable


class Memory:
    """A budget that all channels share.

    A command takes all that it may need when it comes, or is not accepted; so none that was accepted waits for another's memory.
    When no other command has any, one may go on however large it is, so that every command gets its turn: then the budget is
    exceeded.  Once something was refused, memory counts as short until data has no more than half of what is left beside slots:
    meanwhile request limits shrink.

    :param budget_bytes: the most that is held together.
    :param make: where buffers come from; it may raise MemoryError.
    """

    __slots__ = ("_eased", "_make", "budget_bytes", "data_bytes", "held_bytes", "refusals", "sharers", "short")

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
        self.sharers = 0
        """Channels that are logged in."""
        self._make = make
        self._eased: dict[Callable[[], None], None] = {}

    def buffer(self, length: int) -> bytearray | None:
        """A part of what was taken or reserved before, as memory; None when the machine has no more."""
        try:
            return self._make(length)
        except MemoryError:
            self.refuse()
            return None

    # ---- for as long as a channel --------------------------------------------------------------------------------------

    def reserve(self, length: int) -> bool:
        """Take memory for slots; False when there is not enough."""
        if self.held_bytes + length > self.budget_bytes:
            return self.refuse()
        self.held_bytes += length
        return True

    def release(self, length: int) -> None:
        """Give back what :meth:`reserve` has taken."""
        self.held_bytes -= length

    # ---- while it is short ---------------------------------------------------------------------------------------------

    def when_eased(self, told: Callable[[], None]) -> None:
        """Call ``told`` once memory is not short any more; asking twice is the same as once."""
        self._eased[told] = None

    def forget(self, told: Callable[[], None]) -> None:
        """Nobody waits in :meth:`when_eased` any more; idempotent."""
        self._eased.pop(told, None)

    def refuse(self) -> bool:
        """There is not enough: False."""
        self.refusals += 1
        self.short = True
        self.look()
        return False

    def look(self) -> None:
        """See whether it is short no more."""
        slots = self.held_bytes - self.data_bytes
        if 2 * self.data_bytes > self.budget_bytes - slots:
            return
        self.short = False
        waiting, self._eased = self._eased, {}
        for told in waiting:
            told()


class Share:
    """What one channel's commands have of the memory.

    A channel that shares the memory with others leaves as much as it has: whoever takes all he can get, for as long as he likes,
    keeps nobody else from being served.
    """

    __slots__ = ("_memory", "held_bytes")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held_bytes = 0
        """What data and descriptor tables of its commands take."""

    def take(self, length: int) -> bool:
        """Take memory for the data and tables of a command; False when there is not enough."""
        memory = self._memory
        held = memory.held_bytes + length
        left = memory.budget_bytes - held
        mine = self.held_bytes + length
        if left < mine and memory.data_bytes and (left < 0 or memory.sharers > 1):
            return memory.refuse()
        memory.held_bytes = held
        memory.data_bytes += length
        self.held_bytes = mine
        return True

    def give(self, length: int) -> None:
        """Give back what :meth:`take` has taken."""
        self.held_bytes -= length
        memory = self._memory
        memory.held_bytes -= length
        memory.data_bytes -= length
        if memory.short:
            memory.look()
