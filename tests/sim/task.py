"""A command at the target."""

from typing import TYPE_CHECKING

from tgtcore import Task

if TYPE_CHECKING:
    from sim.books import Book
    from sim.initiator import Sent
    from sim.session import Session


class SimTask(Task):
    """Tells its session and the judge; its data-out is overwritten when it has ended."""

    book: "Book | None" = None
    """Of the logical unit that is to get it."""
    ends = 0
    own_abort = False
    """Whether its own initiator has asked for its end."""
    others_abort = False
    """Whether another one has."""
    conflicts: bool | None = None
    """Whether a reservation is in its way, if that is known."""

    def __init__(self, session: "Session", sent: "Sent") -> None:
        command = sent.command
        super().__init__(
            session.nexus,
            sent.lun << 48,
            sent.tag,
            sent.attribute,
            command.cdb.ljust(16, b"\0"),
            len(command.data_out),
            command.data_in,
        )
        self.session = session
        self.sent = sent
        self.buffer = bytearray()

    def want_data(self) -> None:
        self.session.want_data(self)

    def more_data(self, data: bytes) -> None:
        """Some data-out has come."""
        wanted = min(self.wanted_out, self.expected_out)
        fresh = bytearray(self.buffer)
        fresh += data[: wanted - len(fresh)]
        self.buffer = fresh
        if len(fresh) == wanted:
            self.data_out = fresh
            self.data_arrived()

    def done(self) -> None:
        self.session.task_done(self)
        if self.buffer:
            self.buffer[:] = b"\xee" * len(self.buffer)
