"""The commands that initiators send: CDB, data-out, and what the command means to the model."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sim.effects import Compares, Effect, Reads, ReadsAndWrites, Reserves, Synchronizes, Writes
from sim.medium import BLOCK_BYTES
from sim.registrations import TYPES, Change

from tgtcore.scsi.persistent import OutAction

_BLOCKS_PER_COMMAND = (1, 1, 2, 4, 8)
_KEYS = (0xA, 0xB)


@dataclass(frozen=True)
class Command:
    """One command as an initiator sends it.

    :param touches: "read" or "write" when a persistent reservation of others is in its way.
    """

    name: str
    cdb: bytes
    data_out: bytes = b""
    data_in: int = 0
    effect: Effect = field(default_factory=Effect)
    touches: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.effect}".rstrip()


@dataclass(frozen=True)
class View:
    """What an initiator knows of the disk that it sends a command to.

    :param blocks: how many it has, as far as is known.
    :param holds: what a block may hold.
    """

    blocks: int
    holds: Callable[[int], int]


class Commands:
    """Makes the commands of a run.

    :param stamps: makes a number that no other write has.
    """

    def __init__(self, stamps: Callable[[], int]) -> None:
        self._stamps = stamps

    def make(self, chance: random.Random, view: View) -> Command:
        """Some command."""
        (kind,) = chance.choices(_KINDS, _WEIGHTS)
        return kind(self, chance, view)

    def _range(self, chance: random.Random, view: View) -> tuple[int, int]:
        """Mostly one that is there."""
        blocks = chance.choice(_BLOCKS_PER_COMMAND)
        return chance.randint(0, max(view.blocks - blocks + (chance.random() < 0.05), 0)), blocks

    def _values(self, count: int) -> list[int]:
        stamp = self._stamps()
        return [stamp << 8 | number for number in range(count)]

    # ---- reads and writes ---------------------------------------------------------------------------------------------

    def read(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        fua = chance.random() < 0.1
        return read(lba, blocks, fua=fua)

    def write(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        fua = chance.random() < 0.15
        values = self._values(blocks)
        data = data_of(values)
        if chance.random() < 0.05:  # the initiator has less than it says, of which the whole blocks count
            data = data[: chance.randrange(len(data))]
            values = values[: len(data) // BLOCK_BYTES]
        cdb = _cdb(0x2A, lba, blocks, 8 * fua)
        return Command("WRITE FUA" if fua else "WRITE", cdb, data, 0, Writes(lba, values, fua), "write")

    def write_and_verify(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        values = self._values(blocks)
        effect = Writes(lba, values, fua=True)
        return Command("WRITE AND VERIFY", _cdb(0x2E, lba, blocks), data_of(values), 0, effect, "write")

    def verify(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        expected = [view.holds(block) for block in range(lba, lba + blocks)]
        return Command("VERIFY", _cdb(0x2F, lba, blocks, 2), data_of(expected), 0, Compares(lba, expected), "read")

    def write_same(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        values = [0 if chance.random() < 0.5 else self._stamps() << 8 | 0xFF] * blocks
        unmap = 0x08 if chance.random() < 0.5 else 0
        cdb = bytes((0x93, unmap)) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big")
        return Command("WRITE SAME", cdb, data_of(values[:1]), 0, Writes(lba, values), "write")

    def unmap(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        descriptor = lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(4)
        data = (22).to_bytes(2, "big") + (16).to_bytes(2, "big") + bytes(4) + descriptor
        return Command("UNMAP", bytes.fromhex("42000000000000001800"), data, 0, Writes(lba, [0] * blocks), "write")

    def compare_and_write(self, chance: random.Random, view: View) -> Command:
        lba, blocks = self._range(chance, view)
        blocks = min(blocks, 2)
        expected = [view.holds(block) for block in range(lba, lba + blocks)]
        values = self._values(blocks)
        cdb = bytes((0x89, 0)) + lba.to_bytes(8, "big") + bytes((0, 0, 0, blocks))
        effect = ReadsAndWrites(lba, values, expected=expected)
        return Command("COMPARE AND WRITE", cdb, data_of(expected + values), 0, effect, "write")

    def synchronize_cache(self, chance: random.Random, view: View) -> Command:
        return Command("SYNCHRONIZE CACHE", b"\x35", effect=Synchronizes(), touches="write")

    # ---- the logical unit ---------------------------------------------------------------------------------------------

    def start_stop(self, chance: random.Random, view: View) -> Command:
        stops = chance.random() < 0.2
        effect = Synchronizes() if stops else Effect()
        return Command("STOP UNIT" if stops else "START UNIT", bytes((0x1B, 0, 0, 0, not stops)), effect=effect)

    def mode_select(self, chance: random.Random, view: View) -> Command:
        """The write cache on or off, or the Control mode page.

        Only the command that turns the cache off waits until it is empty, which of several at a time is not known: no effect.
        """
        name, page = chance.choice(_MODE_PAGES)
        data = bytes(4) + page
        cdb = bytes((0x15, 0x10, 0, 0, len(data)))
        return Command(f"MODE SELECT {name}", cdb, data)

    def inform(self, chance: random.Random, view: View) -> Command:
        name, cdb = chance.choice(_INFORMING)
        return Command(name, bytes.fromhex(cdb), data_in=255)

    def persistent_reserve_out(self, chance: random.Random, view: View) -> Command:
        action = chance.choice(_ACTIONS)
        key, other, kind = chance.choice(_KEYS), chance.choice(_KEYS), chance.choice(TYPES)
        persist = chance.random() < 0.5
        if action is OutAction.REGISTER_AND_IGNORE_EXISTING_KEY:
            other = chance.choice((*_KEYS, 0))
        change = Change(action=action, key=key, service_key=other, type=kind, persist=persist)
        return reserve_out(change)


def reserve_out(change: Change) -> Command:
    """PERSISTENT RESERVE OUT."""
    cdb = bytes((0x5F, change.action, change.type, 0, 0, 0, 0, 0, 24))
    data = change.key.to_bytes(8, "big") + change.service_key.to_bytes(8, "big") + bytes(4)
    persist = change.persist and change.action in (OutAction.REGISTER, OutAction.REGISTER_AND_IGNORE_EXISTING_KEY)
    effect = Reserves(change)
    return Command(f"PERSISTENT RESERVE OUT {change.action.name}", cdb, data + bytes((persist, 0, 0, 0)), effect=effect)


def read(lba: int, blocks: int, *, fua: bool = False) -> Command:
    """READ (10)."""
    return Command("READ", _cdb(0x28, lba, blocks, 8 * fua), b"", blocks * BLOCK_BYTES, Reads(lba, blocks), "read")


def _cdb(opcode: int, lba: int, blocks: int, flags: int = 0) -> bytes:
    """A CDB of ten bytes that names a range."""
    return bytes((opcode, flags)) + lba.to_bytes(4, "big") + bytes((0,)) + blocks.to_bytes(2, "big")


def data_of(values: list[int]) -> bytes:
    """Blocks that show which they are."""
    return b"".join(value.to_bytes(8, "big") * (BLOCK_BYTES // 8) for value in values)


def _page(code: int, length: int, *bits: tuple[int, int]) -> bytes:
    page = bytearray(length)
    for byte, bit in bits:
        page[byte] |= bit
    return bytes((code, length)) + bytes(page)


_CONTROL = ((0, 0x20 | 0x02), (1, 0x10))
"""TST, GLTSD and QUEUE ALGORITHM MODIFIER can't be changed."""
_TAS, _SWP, _D_SENSE = (3, 0x40), (2, 0x08), (0, 0x04)
_MODE_PAGES = (
    ("WCE=0", _page(0x08, 18)),
    ("WCE=1", _page(0x08, 18, (0, 0x04))),
    ("TAS=1", _page(0x0A, 10, *_CONTROL, _TAS)),
    ("TAS=0", _page(0x0A, 10, *_CONTROL)),
    ("SWP=1", _page(0x0A, 10, *_CONTROL, _TAS, _SWP)),
    ("D_SENSE=1", _page(0x0A, 10, *_CONTROL, _TAS, _D_SENSE)),
)
_INFORMING = (
    ("TEST UNIT READY", "00"),
    ("REQUEST SENSE", "03000000ff"),
    ("INQUIRY", "12000000ff"),
    ("READ CAPACITY", "25"),
    ("MODE SENSE", "1a003f00ff"),
    ("REPORT LUNS", "a0000000000000000100"),
    ("PERSISTENT RESERVE IN", "5e0000000000000100"),
    ("GET LBA STATUS", "9e12000000000000000000000100"),
    ("RESERVE", "16"),
    ("RELEASE", "17"),
    ("RELEASE", "17"),
    ("an unknown command", "ff"),
)
_ACTIONS = (
    *(OutAction.REGISTER_AND_IGNORE_EXISTING_KEY,) * 5,
    *(OutAction.RESERVE,) * 2,
    *(OutAction.RELEASE,) * 2,
    OutAction.REGISTER,
    OutAction.CLEAR,
    OutAction.PREEMPT,
    OutAction.PREEMPT_AND_ABORT,
)
_WEIGHTED: dict[Callable[[Commands, random.Random, View], Command], int] = {
    Commands.read: 30,
    Commands.write: 40,
    Commands.write_and_verify: 2,
    Commands.verify: 3,
    Commands.write_same: 3,
    Commands.unmap: 3,
    Commands.compare_and_write: 5,
    Commands.synchronize_cache: 6,
    Commands.start_stop: 2,
    Commands.mode_select: 2,
    Commands.inform: 6,
    Commands.persistent_reserve_out: 5,
}
_KINDS, _WEIGHTS = list(_WEIGHTED), list(_WEIGHTED.values())
