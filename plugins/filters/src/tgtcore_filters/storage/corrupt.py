"""The filter ``corrupt``: bit rot."""

from bisect import bisect_left
from collections.abc import Iterator
from random import Random
from typing import Any, Literal

from pydantic import Field

from tgtcore import Buffer, Concurrency, Features, Options, Region, Store, StoreError, action
from tgtcore_filters.storage.faulty import Faulty, FaultyOptions

_BITS_MAX = 4096


class CorruptOptions(FaultyOptions):
    """Keys of the filter ``corrupt``."""

    mode: Literal["reads", "medium"] = "reads"
    bits: int = Field(1, ge=1, le=_BITS_MAX)


class Rot(Options):
    """Arguments of the action ``rot``."""

    bits: int = Field(1, ge=1, le=_BITS_MAX)
    """How many are flipped, each in another byte."""

    seed: int = 0
    """Which ones."""


class Corrupt(Faulty):
    """Flips bits: of what chosen reads return, or on the medium where chosen reads are about to look.

    Where the medium is damaged, that is one call at a time: a byte that is flipped must not undo a write of its neighbours.
    """

    Options = CorruptOptions
    options: CorruptOptions

    def __init__(self, base: Store, options: CorruptOptions) -> None:
        self._on_medium = options.mode == "medium"
        if self._on_medium:
            self.concurrency = Concurrency.SERIAL
        super().__init__(base, options)

    def stand_on(self, base: Store) -> None:
        """As in the contract.

        :raises StoreError: it is to damage a medium that takes no writes.
        """
        if self._on_medium:
            self._need_writes(base)
        super().stand_on(base)

    def _need_writes(self, base: Store) -> None:
        if Features.WRITE not in base.features():
            raise StoreError("the filter corrupt can't damage a medium that takes no writes")

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract, if it is not chosen."""
        strike = self.strike(offset, length)
        if not strike:
            return self.base.read(offset, length)
        masks = dict(self._flips(offset, length, self.options.bits, self.occasions.dice(strike)))
        if self._on_medium:
            self._damage(masks, strike)
            return self.base.read(offset, length)
        content = bytearray(self.base.read(offset, length))
        for at, mask in masks.items():
            before = content[at - offset]
            content[at - offset] = before ^ mask
            self._account(strike, at, before, mask)
        return content

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """Only what can't be chosen."""
        return None if self.ranges.touch(offset, length) else self.base.read_nowait(offset, length)

    def region(self, offset: int, length: int) -> Region | None:
        """Only of what can't be chosen."""
        return None if self.ranges.touch(offset, length) else self.base.region(offset, length)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As in the contract, unless the medium may be damaged meanwhile."""
        return not self._on_medium and self.base.write_nowait(offset, data)

    @action("Flip bits on the medium now, wherever the filter may.", Rot, pauses=True)
    def rot(self, rot: Rot) -> dict[str, Any]:
        """How many bytes were damaged."""
        self._need_writes(self.base)
        masks = dict(self._flips(0, self.size_bytes, rot.bits, Random(rot.seed)))
        self._damage(masks, 0)
        self.base.flush()
        return {"bytes": len(masks)}

    def _flips(self, offset: int, length: int, bits: int, dice: Random) -> Iterator[tuple[int, int]]:
        """In which bytes of a range one bit is flipped, in order, with their masks."""
        spans = list(self.ranges.within(offset, length))
        total = sum(end - first for first, end in spans)
        chosen = sorted(dice.sample(range(total), min(bits, total)))
        passed = 0
        for first, end in spans:
            beyond = passed + end - first
            for at in chosen[bisect_left(chosen, passed) : bisect_left(chosen, beyond)]:
                yield first + at - passed, 1 << dice.randrange(8)
            passed = beyond

    def _damage(self, masks: dict[int, int], strike: int) -> None:
        block_bytes = self.base.block_bytes
        for at, mask in masks.items():
            start = at // block_bytes * block_bytes
            block = bytearray(self.base.read(start, block_bytes))
            before = block[at - start]
            block[at - start] = before ^ mask
            self.base.write(start, block)
            self._account(strike, at, before, mask)

    def _account(self, strike: int, at: int, before: int, mask: int) -> None:
        self.entries.add(strike=strike, offset=at, before=before, after=before ^ mask)
