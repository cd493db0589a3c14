"""Random reads and writes of one initiator, none of which touches blocks that another one of its own is at."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from oracle.contents import Contents

_TRIES = 4
_LONG_SHARE = 0.15
_WRITE_SHARE = 0.7


@dataclass
class Command:
    """A read or a write of some blocks; positions are relative to the region."""

    at: int
    blocks: int
    generation: int = 0
    """Of the data of a write; 0 for a read."""
    lun: int = 0

    def overlaps(self, other: "Command") -> bool:
        """Whether both touch one block."""
        return self.lun == other.lun and self.at < other.at + other.blocks and other.at < self.at + self.blocks


class Chooser:
    """Chooses commands.

    :param regions: the region on each LUN.
    :param usual: blocks that a command has at most, but for a few.
    :param longest: blocks that those few have at most.
    """

    def __init__(self, chance: random.Random, regions: Mapping[int, Contents], usual: int, longest: int) -> None:
        self._chance = chance
        self._regions = regions
        self._usual = usual
        self._longest = longest
        self._generation = 0

    def next(self, under_way: Collection[Command]) -> Command | None:
        """A command that touches nothing that another one is at, if one is found."""
        chance = self._chance
        for _ in range(_TRIES):
            lun = chance.choice(list(self._regions))
            blocks = chance.randint(1, self._longest if chance.random() < _LONG_SHARE else self._usual)
            command = Command(chance.randint(0, self._regions[lun].blocks - blocks), blocks, lun=lun)
            if not any(command.overlaps(other) for other in under_way):
                if chance.random() < _WRITE_SHARE:
                    self._generation += 1
                    command.generation = self._generation
                return command
        return None
