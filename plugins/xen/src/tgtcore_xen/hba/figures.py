"""What one connection with a front end counts."""


class Logged:
    """How often a guest has done what is logged only the first times, on all its connections: it makes as many as it likes."""

    __slots__ = ("functions", "malformed")

    def __init__(self) -> None:
        self.functions = 0
        """Aborts and resets."""
        self.malformed = 0
        """Requests that break the protocol."""


class Figures:
    """Counted since the connection was made."""

    __slots__ = (
        "aborted",
        "busy",
        "copied_segments",
        "copy_calls",
        "failed_copies",
        "functions",
        "lost",
        "malformed",
        "notifications",
        "requests",
        "wake_ups",
    )

    def __init__(self) -> None:
        self.requests = 0
        """Slots that were taken from the ring."""
        self.wake_ups = 0
        """How often the guest has notified us, or had more in the ring than one turn takes."""
        self.notifications = 0
        """How often we have notified the guest."""
        self.copy_calls = 0
        """How often the platform was asked to copy."""
        self.copied_segments = 0
        """How many segments those calls had in all."""
        self.failed_copies = 0
        """Commands whose data, or whose table of segments, could not be copied."""
        self.lost = 0
        """Requests that a back end has taken which died, and that nobody knows before the guest aborts them."""
        self.malformed = 0
        """Requests that break the protocol."""
        self.busy = 0
        """Commands that were not accepted, because there was no memory or the target goes away."""
        self.functions = 0
        """Aborts and resets that the guest has asked for."""
        self.aborted = 0
        """Commands that were aborted, and answered as such."""

    def as_dict(self) -> dict[str, int]:
        """By name, for show."""
        return {name: getattr(self, name) for name in self.__slots__}
