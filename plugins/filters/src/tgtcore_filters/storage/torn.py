"""The filter ``torn``: some writes stop on their way."""

import errno
import logging
from typing import Literal

from pydantic import Field, field_validator

from tgtcore import Buffer, ProvokedError, Size
from tgtcore_filters.storage.faulty import FaultyOptions
from tgtcore_filters.storage.faulty_writes import FaultyWrites, How
from tgtcore_filters.storage.sectors import power_of_two

_log = logging.getLogger(__name__)


class TornOptions(FaultyOptions):
    """Keys of the filter ``torn``."""

    outcome: Literal["error", "acknowledged"] = "error"
    sector: Size = Field(512, validate_default=True)

    _is_one = field_validator("sector")(power_of_two)


class Torn(FaultyWrites):
    """Writes some sectors from the beginning, none perhaps and never all, and fails then, or claims that it was all."""

    Options = TornOptions
    options: TornOptions

    @property
    def _sector_bytes(self) -> int:
        return max(self.options.sector, self.block_bytes)

    def mistreat(self, strike: int, how: How, offset: int, data: Buffer) -> None:
        """Write a part.

        :raises OSError: EIO, if that is to be told.
        """
        sectors = -(-len(data) // self._sector_bytes)
        written = self.occasions.dice(strike).randrange(sectors) * self._sector_bytes
        self.entries.add(strike=strike, call=how, offset=offset, length=len(data), written=written)
        if written:
            getattr(self.base, how)(offset, memoryview(data)[:written])
        if self.options.outcome == "error":
            error = ProvokedError(errno.EIO, f"the filter torn has stopped a write at byte {offset + written}")
            if strike == 1:
                _log.warning("%s; its ledger has the others", error)
            raise error
