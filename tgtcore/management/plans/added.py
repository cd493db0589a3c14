"""The filters that a plan has added: which ones they are, whatever others do meanwhile."""

from collections.abc import Iterator
from typing import Any

from tgtcore.daemon.inventory import Inventory
from tgtcore.errors import InUse
from tgtcore.management.edits import filter_name, remove_filter


class Added:
    """Filters by logical unit and name, and by what tells them from others that may get their name.

    :param inventory: where they are.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._numbers: dict[tuple[str, str], int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def note(self, unit: str, name: str) -> None:
        """One has come, or is another one now because the plan has changed it."""
        self._numbers[unit, name] = self._number(unit, name)

    def forget(self, unit: str, name: str) -> None:
        """The plan itself has removed it, if it was its own."""
        self._numbers.pop((unit, name), None)

    def has(self, unit: str, name: str) -> bool:
        """Whether there was one that the plan has added and not removed."""
        return (unit, name) in self._numbers

    def check(self, unit: str, name: str) -> None:
        """See that a name means still what the plan means by it.

        :raises InUse: the plan has added one of that name, and it is not the one that is there.
        """
        number = self._number(unit, name)
        if self.has(unit, name) and number is not None and number != self._numbers[unit, name]:
            raise InUse(
                f"{name} of logical unit {unit} is not the filter that this plan has added: "
                "somebody else has changed or replaced it"
            )

    def remove_from(self, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take them out of the configuration in force; what has become of each, as its logical unit and words."""
        for (unit, name), number in self._numbers.items():
            tables = document.get("logical_units", {}).get(unit, {}).get("filters", ())
            if name not in map(filter_name, tables):
                yield unit, f"removed by somebody else before: {name}"
            elif self._number(unit, name) != number:
                yield unit, f"left there, since somebody else has changed or replaced it: {name}"
            else:
                remove_filter(document, unit, name)
                yield unit, f"removed again: {name}"

    def _number(self, unit: str, name: str) -> int | None:
        found = self._inventory.units.get(unit)
        parts = found.filters if found is not None else ()
        return next((part.number for part in parts if part.config.name == name), None)
