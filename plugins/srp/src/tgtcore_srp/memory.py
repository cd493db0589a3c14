"""How much memory the channels of a transport may hold together: slots, descriptor tables and data on its way."""

from collections.abc import Callable


class Memory:
    """A budget that all channels share.

    A command takes all that it may need when it comes, or is not accepted; so none that was accepted waits for another's memory.
    A channel that was promised memory has it always, whatever others take.  When nobody has any, a command of a channel without a
    promise may go on however large it is: then the budget is exceeded.  Once something was refused, memory counts as short until
    data has no more than half of what is left beside slots: meanwhile request limits shrink.

    :param budget_bytes: the most that is held together.
    :param make: where buffers come from; it may raise MemoryError.
    """

    __slots__ = (
        "_eased",
        "_make",
        "_slot_bytes",
        "budget_bytes",
        "data_bytes",
        "held_bytes",
        "refusals",
        "sharers",
        "short",
    )

    def __init__(self, budget_bytes: int, make: Callable[[int], bytearray] = bytearray) -> None:
        self.budget_bytes = budget_bytes
        self.held_bytes = 0
        """What slots, tables and data take now, and what is kept for data because it was promised."""
        self.data_bytes = 0
        """What data and descriptor tables take of it."""
        self._slot_bytes = 0
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
        if not self.keep(length):
            return False
        self._slot_bytes += length
        return True

    def release(self, length: int) -> None:
        """Give back what :meth:`reserve` has taken."""
        self._slot_bytes -= length
        self.held_bytes -= length

    def keep(self, length: int) -> bool:
        """Take memory for the data of somebody, now or some time; False when there is not enough."""
        if self.held_bytes + length > self.budget_bytes:
            return self.refuse()
        self.held_bytes += length
        return True

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
        if 2 * self.data_bytes > self.budget_bytes - self._slot_bytes:
            return
        self.short = False
        waiting, self._eased = self._eased, {}
        for told in waiting:
            told()


class Share:
    """What one channel's commands have of the memory.

    What was promised to a channel it has always.  One that wants more, and shares the memory with others, leaves as much as it has
    beyond that: whoever takes all he can get, for as long as he likes, keeps nobody else from being served.
    """

    __slots__ = ("_memory", "held_bytes", "promised_bytes")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held_bytes = 0
        """What data and descriptor tables of its commands take."""
        self.promised_bytes = 0
        """What they may take at any time."""

    def promise(self, length: int) -> bool:
        """Keep memory for its commands, before there is one; False when there is not enough.  It may be asked again."""
        if length <= self.promised_bytes:
            return True
        if not self._memory.keep(length - self.promised_bytes):
            return False
        self.promised_bytes = length
        return True

    def release(self) -> None:
        """Nothing of it is in use, and nothing is promised any more; idempotent."""
        self._memory.held_bytes -= self.promised_bytes
        self.promised_bytes = 0

    def take(self, length: int) -> bool:
        """Take memory for the data and tables of a command; False when there is not enough."""
        memory = self._memory
        mine = self.held_bytes + length
        beyond = mine - self.promised_bytes
        if beyond > 0:
            more = beyond if beyond < length else length
            held = memory.held_bytes + more
            left = memory.budget_bytes - held
            if left < beyond and memory.data_bytes and (left < 0 or memory.sharers > 1):
                return memory.refuse()
            memory.held_bytes = held
        memory.data_bytes += length
        self.held_bytes = mine
        return True

    def give(self, length: int) -> None:
        """Give back what :meth:`take` has taken."""
        memory = self._memory
        beyond = self.held_bytes - self.promised_bytes
        if beyond > 0:
            memory.held_bytes -= beyond if beyond < length else length
        self.held_bytes -= length
        memory.data_bytes -= length
        if memory.short:
            memory.look()
