"""A command that came over a ring."""

from typing import TYPE_CHECKING

from tgtcore.store import Region
from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.isolation.attendant import Attendant


class RingTask(Task):
    """A task that came in a COMMAND; its tag is the request's id."""

    attendant: "Attendant"
    room: memoryview
    """Where data-in goes."""
    awaited = 0
    """How many bytes of data-out the driver was asked for and has not brought."""
    accepts_region = True

    def done(self) -> None:
        """Tell the driver."""
        self.attendant.ended(self)

    def want_data(self) -> None:
        """Ask the driver."""
        self.awaited = min(self.wanted_out, self.expected_out)
        self.attendant.want_data(self)

    def place_data_in(self) -> int:
        """Put data-in where the driver wants it; returns how much there is."""
        data = self.data_in
        if data is None or not self.responds:
            return 0
        length = len(data)
        room = self.room[:length]
        if isinstance(data, Region):
            if not data.read_into(room):
                self.lose_data_in()
                return 0
        else:
            room[:] = memoryview(data)[: len(room)]
        return length
