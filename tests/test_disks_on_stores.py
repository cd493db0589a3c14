"""Every command of a disk on every store: what the medium holds afterwards, read out of band, and what the initiator got."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tgtcore_disk import Disk, DiskOptions
from tgtcore_file.file import FileStore
from tgtcore_file.memory import MemoryStore
from tgtcore_file.options import FileOptions, MemoryOptions

from tgtcore import Buffer, Store
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore

BLOCK = 512
SIZE = 256 * 1024
BLOCKS = SIZE // BLOCK
PATTERN = random.Random(1).randbytes(SIZE)
NEW = random.Random(2).randbytes(8 * BLOCK)
AT = 16
"""The block that commands begin at."""


class PlainStore(Store):
    """Only what a store must have, and never at once."""

    def __init__(self) -> None:
        self.size_bytes = SIZE
        self.content = bytearray(SIZE)

    def read(self, offset: int, length: int) -> Buffer:
        return self.content[offset : offset + length]

    def write(self, offset: int, data: Buffer) -> None:
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None:
        return


class BusyStore(RamStore):
    """Everything, but never at once."""

    def __init__(self) -> None:
        super().__init__(SIZE)

    def read_nowait(self, offset: int, length: int) -> None:
        return None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return False


STORES: dict[str, Callable[[Path], Store]] = {
    "plain": lambda folder: PlainStore(),
    "busy": lambda folder: BusyStore(),
    "ram": lambda folder: RamStore(SIZE),
    "memory": lambda folder: MemoryStore(MemoryOptions(size=SIZE)),
    "sparse file": lambda folder: FileStore(FileOptions(path=folder / "image", create=True, size=SIZE)),
    "preallocated file": lambda folder: FileStore(
        FileOptions(path=folder / "image", create=True, size=SIZE, preallocate=True)
    ),
}


@dataclass(frozen=True)
class Case:
    """A command and what it does.

    :param cdb: in hexadecimal.
    :param changes: (first block, bytes) that the medium has instead of the pattern afterwards.
    :param answer: data-in, None when it is not about the medium's content.
    """

    cdb: str
    data_out: bytes = b""
    changes: tuple[tuple[int, bytes], ...] = ()
    answer: bytes | None = None
    status: Status = Status.GOOD


def old(first: int, blocks: int) -> bytes:
    return PATTERN[first * BLOCK : (first + blocks) * BLOCK]


def merged(one: bytes, other: bytes) -> bytes:
    return bytes(left | right for left, right in zip(one, other, strict=True))


def unmap_list(*ranges: tuple[int, int]) -> bytes:
    body = b"".join(lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(4) for lba, blocks in ranges)
    return (len(body) + 6).to_bytes(2, "big") + len(body).to_bytes(2, "big") + bytes(4) + body


LBA4, LBA8 = f"{AT:08x}", f"{AT:016x}"
TWO = NEW[: 2 * BLOCK]
READ = old(AT, 2)
WRITTEN = ((AT, TWO),)
ZEROES = bytes(2 * BLOCK)
FORMATTED = ((0, bytes(SIZE)),)
FUA = "08"
BYTCHK = "02"

REGISTER_OUT = Case("5f 06 00 00 00 00000018", bytes(15) + b"\1" + bytes(8))
UNREGISTER_OUT = Case("5f 06 00 00 00 00000018", bytes(24))
RESERVE_OUT = {
    action: [
        REGISTER_OUT,
        Case(f"5f {action:02x} 01 00 00 00000018", bytes(7) + b"\1" + bytes(7) + b"\1" + bytes(8), status=status),
        UNREGISTER_OUT,
    ]
    for action, status in [(1, Status.GOOD), (2, Status.GOOD), (3, Status.GOOD), (4, Status.GOOD), (5, Status.GOOD)]
}

CASES: dict[tuple[int, int | None], list[Case]] = {
    (0x00, None): [Case("00")],
    (0x03, None): [Case("03 00 00 00 ff")],
    (0x04, None): [
        Case("04", changes=FORMATTED),
        Case("04 10", bytes(4), changes=FORMATTED),
        Case("04 10", b"\0\2\0\0", FORMATTED),
    ],
    (0x08, None): [Case("08 000010 02", answer=READ), Case("08 000000 00", answer=old(0, 256))],
    (0x0A, None): [Case("0a 000010 02", TWO, WRITTEN)],
    (0x12, None): [Case("12 00 00 00 60")],
    (0x15, None): [Case("15 10 00 00 04", bytes(4))],
    (0x16, None): [Case("16")],
    (0x17, None): [Case("17")],
    (0x1A, None): [Case("1a 00 3f 00 ff")],
    (0x1B, None): [Case("1b 00 00 00 00"), Case("1b 00 00 00 01")],
    (0x1D, None): [Case("1d 04")],
    (0x25, None): [Case("25", answer=(BLOCKS - 1).to_bytes(4, "big") + BLOCK.to_bytes(4, "big"))],
    (0x28, None): [Case(f"28 00 {LBA4} 00 0002", answer=READ), Case(f"28 {FUA} {LBA4} 00 0002", answer=READ)],
    (0x2A, None): [Case(f"2a 00 {LBA4} 00 0002", TWO, WRITTEN), Case(f"2a {FUA} {LBA4} 00 0002", TWO, WRITTEN)],
    (0x2E, None): [Case(f"2e 00 {LBA4} 00 0002", TWO, WRITTEN), Case(f"2e {BYTCHK} {LBA4} 00 0002", TWO, WRITTEN)],
    (0x2F, None): [
        Case(f"2f 00 {LBA4} 00 0002"),
        Case("2f 00 00000000 00 0000"),
        Case(f"2f {BYTCHK} {LBA4} 00 0002", READ),
        Case(f"2f {BYTCHK} {LBA4} 00 0002", TWO, status=Status.CHECK_CONDITION),
        Case(f"2f 06 {LBA4} 00 0001", READ[:BLOCK]),
        Case(f"2f 06 {LBA4} 00 0002", READ[:BLOCK], status=Status.CHECK_CONDITION),
    ],
    (0x34, None): [Case(f"34 00 {LBA4} 00 0002"), Case("34 02 00000000 00 0000")],
    (0x35, None): [Case("35"), Case(f"35 02 {LBA4} 00 0002")],
    (0x37, None): [Case("37 00 18 00 00 00 00 0004", answer=bytes((0, 0x18, 0, 0)))],
    (0x41, None): [
        Case(f"41 00 {LBA4} 00 0002", NEW[:BLOCK], ((AT, NEW[:BLOCK] * 2),)),
        Case(f"41 08 {LBA4} 00 0002", bytes(BLOCK), ((AT, ZEROES),)),
        Case(f"41 08 {LBA4} 00 0002", NEW[:BLOCK], ((AT, NEW[:BLOCK] * 2),)),
    ],
    (0x42, None): [
        Case("42 00 00 00 00 00 00 0028", unmap_list((AT, 2), (100, 1)), ((AT, ZEROES), (100, bytes(BLOCK)))),
        Case("42 01 00 00 00 00 00 0018", unmap_list((AT, 2)), ((AT, ZEROES),)),
        Case("42 00 00 00 00 00 00 0028", unmap_list((AT, 2), (BLOCKS, 1)), status=Status.CHECK_CONDITION),
        Case("42"),
    ],
    (0x4D, None): [Case("4d 00 40 00 00 00 00 00 ff")],
    (0x55, None): [Case("55 10 00 00 00 00 00 0008", bytes(8))],
    (0x56, None): [Case("56")],
    (0x57, None): [Case("57")],
    (0x5A, None): [Case("5a 00 3f ff 00 00 00 00 ff")],
    **{(0x5E, action): [Case(f"5e {action:02x} 00 00 00 00 00 00 ff")] for action in range(4)},
    **{(0x5F, action): RESERVE_OUT.get(action, [REGISTER_OUT, UNREGISTER_OUT]) for action in range(8)},
    (0x88, None): [Case(f"88 00 {LBA8} 00000002", answer=READ), Case(f"88 {FUA} {LBA8} 00000002", answer=READ)],
    (0x89, None): [
        Case(f"89 00 {LBA8} 000000 02", READ + TWO, WRITTEN),
        Case(f"89 {FUA} {LBA8} 000000 02", READ + TWO, WRITTEN),
        Case(f"89 00 {LBA8} 000000 02", TWO + TWO, status=Status.CHECK_CONDITION),
        Case(f"89 00 {LBA8} 000000 00"),
    ],
    (0x8A, None): [Case(f"8a 00 {LBA8} 00000002", TWO, WRITTEN), Case(f"8a {FUA} {LBA8} 00000002", TWO, WRITTEN)],
    (0x8B, None): [
        Case(f"8b 00 {LBA8} 00000002", TWO, ((AT, merged(TWO, READ)),)),
        Case(f"8b {FUA} {LBA8} 00000002", TWO, ((AT, merged(TWO, READ)),)),
    ],
    (0x8E, None): [Case(f"8e 00 {LBA8} 00000002", TWO, WRITTEN), Case(f"8e {BYTCHK} {LBA8} 00000002", TWO, WRITTEN)],
    (0x8F, None): [
        Case(f"8f {BYTCHK} {LBA8} 00000002", READ),
        Case(f"8f {BYTCHK} {LBA8} 00000002", TWO, status=Status.CHECK_CONDITION),
    ],
    (0x90, None): [Case(f"90 00 {LBA8} 00000002")],
    (0x91, None): [Case(f"91 00 {LBA8} 00000000")],
    (0x93, None): [
        Case(f"93 00 {LBA8} 00000002", NEW[:BLOCK], ((AT, NEW[:BLOCK] * 2),)),
        Case(f"93 01 {LBA8} 00000002", changes=((AT, ZEROES),)),
        Case(f"93 09 {LBA8} 00000002", changes=((AT, ZEROES),)),
        Case(f"93 18 {LBA8} 00000002", bytes(BLOCK), ((AT, ZEROES),)),
    ],
    (0x9E, 0x10): [Case("9e 10 0000000000000000 00000020")],
    (0x9E, 0x12): [Case("9e 12 0000000000000000 00000040")],
    (0xA0, None): [Case("a0 00 00 00 00 00 000000ff")],
    (0xA3, 0x0A): [Case("a3 0a 00 00 00 00 000000ff")],
    (0xA3, 0x0C): [Case("a3 0c 00 00 00 00 0000ffff")],
    (0xA3, 0x0D): [Case("a3 0d 00 00 00 00 000000ff")],
    (0xA8, None): [Case(f"a8 00 {LBA4} 00000002", answer=READ)],
    (0xAA, None): [Case(f"aa 00 {LBA4} 00000002", TWO, WRITTEN)],
    (0xAE, None): [Case(f"ae 00 {LBA4} 00000002", TWO, WRITTEN)],
    (0xAF, None): [
        Case(f"af {BYTCHK} {LBA4} 00000002", READ),
        Case(f"af {BYTCHK} {LBA4} 00000002", TWO, status=Status.CHECK_CONDITION),
    ],
    (0xB7, None): [Case("b7 18 00000000 00000008", answer=bytes((0, 0x18)) + bytes(6))],
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    made = STORES[request.param](tmp_path)
    made.write(0, PATTERN)
    return made


@pytest.fixture
def initiator(store: Store) -> Iterator[Initiator]:
    with bench() as made:
        made.add(Disk, store)
        yield made.initiator()


def test_every_command_has_a_case(initiator: Initiator) -> None:
    commands = {(bound.command.opcode, bound.command.service_action) for bound in _disk(initiator).lu.commands}
    assert commands <= set(CASES)


@pytest.mark.parametrize("write_cache", [True, False])
def test_the_medium_holds_what_the_standard_says(store: Store, write_cache: bool) -> None:
    with bench() as made:
        lu = made.add(Disk, store, DiskOptions(write_cache=write_cache))
        initiator = made.initiator()
        for (opcode, action), cases in CASES.items():
            if lu.commands.find(bytes((opcode, action or 0)).ljust(16)) is None:
                continue
            for case in cases:
                if _needs_thin(case) and not lu.device.command_features():
                    continue
                store.write(0, PATTERN)
                result = initiator.execute(case.cdb, case.data_out, SIZE)
                assert result.status is case.status, f"{case.cdb}: {result}"
                if case.answer is not None:
                    assert result.data == case.answer, case.cdb
                expected = bytearray(PATTERN)
                for first, data in case.changes:
                    expected[first * BLOCK : first * BLOCK + len(data)] = data
                assert bytes(store.read(0, SIZE)) == expected, case.cdb


def _needs_thin(case: Case) -> bool:
    cdb = bytes.fromhex(case.cdb)
    return cdb[0] in (0x41, 0x93) and bool(cdb[1] & 0x08)


def _disk(initiator: Initiator) -> Disk:
    itl = initiator.nexus.itl(0)
    assert itl is not None
    assert isinstance(itl.lu.device, Disk)
    return itl.lu.device
