"""The filter ``readonly``: takes no writes."""

from tgtcore import Buffer, Features, ReadOnly
from tgtcore_filters.storage.through import Through


class ReadOnlyFilter(Through):
    """Lets reads through, and flushes: what was written before this filter came is made durable as ever."""

    writes_base = False

    def features(self) -> Features:
        """Only what has to do with reading."""
        return super().features() & Features.EXTENTS

    def write(self, offset: int, data: Buffer) -> None:
        """Never called by the core, which asks what is offered.

        :raises ReadOnly: always.
        """
        raise ReadOnly("the filter readonly takes no writes")

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As above."""
        return False
