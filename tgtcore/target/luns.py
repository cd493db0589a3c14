"""LUN maps: which logical unit an initiator finds under which LUN."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tgtcore.errors import ConfigError
from tgtcore.limits import LUNS_PER_TARGET_MAX

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import Nexus


class LunMap:
    """LUN → logical unit, for the initiators whose name fits one of the patterns.

    :param initiators: patterns as in :class:`~tgtcore.target.access.AccessList`; ``*`` fits all.
    """

    def __init__(self, what: str, initiators: Iterable[str] = ("*",)) -> None:
        self.what = what
        self.initiators = tuple(pattern.lower() for pattern in initiators)
        self._luns: dict[int, LogicalUnit] = {}
        self._hidden: dict[int, LogicalUnit] = {}
        self.nexuses: dict[Nexus, None] = {}
        """The nexuses that have this map; kept by :class:`~tgtcore.target.Target`."""

    def __contains__(self, lun: int) -> bool:
        return lun in self._luns

    def __len__(self) -> int:
        return len(self._luns)

    def __getitem__(self, lun: int) -> "LogicalUnit":
        return self._luns[lun]

    def luns(self) -> Mapping[int, "LogicalUnit"]:
        """What initiators find, in order of LUN."""
        return dict(sorted(self._luns.items()))

    def mapped(self) -> Mapping[int, "LogicalUnit"]:
        """What is mapped, in order of LUN, whether initiators find it or not."""
        return dict(sorted([*self._luns.items(), *self._hidden.items()]))

    def hide(self, lun: int) -> bool:
        """Let initiators find nothing under a LUN that stays mapped; False when that is so already.

        :raises KeyError: it is not mapped.
        """
        if lun in self._hidden:
            return False
        self._hidden[lun] = self._luns.pop(lun)
        return True

    def show(self, lun: int) -> "LogicalUnit | None":
        """Let initiators find a LUN that was hidden; None when it was not."""
        lu = self._hidden.pop(lun, None)
        if lu is not None:
            self._luns[lun] = lu
        return lu

    def fits(self, initiator: str) -> bool:
        """Whether this map is for the initiator."""
        name = initiator.lower()
        return any(fnmatchcase(name, pattern) for pattern in self.initiators)

    def add(self, lun: int, lu: "LogicalUnit") -> None:
        """Map a logical unit.

        :raises ConfigError: the LUN is taken, out of range, or the logical unit is mapped here already.
        """
        if not 0 <= lun < LUNS_PER_TARGET_MAX:
            raise ConfigError(f"{self.what}: LUN {lun} is out of range, expected 0 to {LUNS_PER_TARGET_MAX - 1}")
        if (other := self._luns.get(lun) or self._hidden.get(lun)) is not None:
            raise ConfigError(f"{self.what}: LUN {lun} is taken by {other}")
        if self in lu.maps:
            raise ConfigError(f"{self.what}: {lu} is mapped already, as LUN {lu.maps[self]}")
        self._luns[lun] = lu
        lu.maps[self] = lun

    def clear(self) -> None:
        """Take every LUN out of the map, which is not used any more."""
        for lun in self.mapped():
            self.remove(lun)

    def remove(self, lun: int) -> "LogicalUnit | None":
        """Take a LUN out of the map; None when it is not there."""
        lu = self._luns.pop(lun, None) or self._hidden.pop(lun, None)
        if lu is not None:
            del lu.maps[self]
        return lu
