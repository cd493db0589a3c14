"""What the filters that do wrong to some calls have in common: which calls those are, and an account of it."""

from typing import Any, ClassVar

from pydantic import Field, field_validator

from tgtcore import Store, action
from tgtcore_filters.occasions import OccasionOptions, Occasions
from tgtcore_filters.storage.byte_ranges import ByteRanges
from tgtcore_filters.storage.ledger import Ledger
from tgtcore_filters.storage.through import Through

_RANGES_MAX = 256


class FaultyOptions(OccasionOptions):
    """Keys by which users choose storage calls; without any of them every call of the filter's kind is chosen."""

    ranges: tuple[str, ...] = Field((), max_length=_RANGES_MAX)
    """Calls that touch any of these bytes; see :class:`ByteRanges`."""

    ledger: int = Field(1000, ge=1, le=100_000)
    """How many entries are kept."""

    @field_validator("ranges")
    @classmethod
    def _are_ranges(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        ByteRanges(value)
        return value


class Faulty(Through):
    """Does something wrong to chosen calls, and keeps account of it."""

    Options: "ClassVar[type[FaultyOptions]]" = FaultyOptions  # not evaluated: typing would keep the class for ever

    def __init__(self, base: Store, options: FaultyOptions) -> None:
        super().__init__(base, options)
        self.ranges = ByteRanges(options.ranges)
        self.occasions = Occasions(options)
        self.entries = Ledger(options.ledger)
        self._stands_aside = False

    def stand_aside(self, aside: bool) -> None:
        """As in the contract: what comes meanwhile is not even counted."""
        self._stands_aside = aside

    def strike(self, offset: int, length: int) -> int:
        """Whether a call is chosen: the number of the strike, or 0; asked once for each call, where it may block."""
        if self._stands_aside or not self.ranges.touch(offset, length):
            return 0
        return self.occasions.strike()

    @action("Show what was done, the oldest first.")
    def ledger(self, arguments: Any) -> dict[str, Any]:
        """As :meth:`Ledger.shown`."""
        return self.entries.shown()

    @action("Forget what was done; what is damaged stays damaged.")
    def clear(self, arguments: Any) -> dict[str, Any]:
        """How many entries there were."""
        return {"cleared": self.entries.clear()}

    def figures(self) -> dict[str, Any]:
        """How many calls there were to choose from, how many were chosen, and what the ledger has."""
        return {
            "matched": self.occasions.candidates,
            "chosen": self.occasions.strikes,
            "ledger_entries": self.entries.made,
        }
