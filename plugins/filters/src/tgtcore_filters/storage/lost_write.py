"""The filter ``lost-write``: some writes are acknowledged and not done."""

from tgtcore import Buffer
from tgtcore_filters.storage.faulty_writes import FaultyWrites, How


class LostWrite(FaultyWrites):
    """As a disk whose head has missed: a write is lost without an error, and the old content stays."""

    def mistreat(self, strike: int, how: How, offset: int, data: Buffer) -> None:
        """Do nothing."""
        self.entries.add(strike=strike, call=how, offset=offset, length=len(data))
