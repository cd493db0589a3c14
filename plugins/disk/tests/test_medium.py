import asyncio
import itertools
import threading

import pytest
from pytest_mock import MockerFixture
from tgtcore_disk import Disk
from tgtcore_disk.medium import PIECE_BYTES

from tgtcore import Buffer, ConfigError
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.task import State
from tgtcore.testing.initiator import Bench, Initiator, bench
from tgtcore.testing.ram import RamStore

CHANGED = (SenseKey.UNIT_ATTENTION, *asc.CAPACITY_DATA_HAS_CHANGED)
OFFLINE = (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_OFFLINE)


@pytest.mark.parametrize("size_bytes", [2 * 1024 * 1024, 512])
def test_a_resize_is_told_to_everybody(made: Bench, initiator: Initiator, other: Initiator, size_bytes: int) -> None:
    made.loop.run_until_complete(made.lus[0].resize(size_bytes))
    for who in (initiator, other):
        assert who.execute("00").code == CHANGED
        assert who.execute("25").data[:4] == (size_bytes // 512 - 1).to_bytes(4, "big")
    last = (size_bytes // 512 - 1).to_bytes(4, "big").hex()
    assert initiator.execute(f"28 00 {last} 00 0001").status is Status.GOOD
    assert initiator.execute(f"28 00 {last} 00 0002").code[1] == 0x21


def test_a_size_that_is_no_whole_number_of_blocks(made: Bench, initiator: Initiator, store: RamStore) -> None:
    with pytest.raises(ConfigError, match=r"1000 bytes, expected a multiple of block_size \(512\)"):
        made.loop.run_until_complete(made.lus[0].resize(1000))
    assert store.size_bytes == 1024 * 1024
    assert initiator.execute("00").status is Status.GOOD


def test_a_resize_that_changes_nothing_is_told_to_nobody(made: Bench, initiator: Initiator) -> None:
    made.loop.run_until_complete(made.lus[0].resize(1024 * 1024))
    assert initiator.execute("00").status is Status.GOOD


def test_a_store_that_refuses(made: Bench, initiator: Initiator, store: RamStore) -> None:
    def resize(size_bytes: int) -> None:
        raise OSError(28, "no space left")

    store.resize = resize  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no space left"):
        made.loop.run_until_complete(asyncio.wait_for(made.lus[0].resize(2048), 5))
    assert initiator.execute("00").status is Status.GOOD


@pytest.mark.parametrize(
    "cdb", ["28 00 00000000 00 0001", "35", "25", "00", "2f", "34", "9e 12 0000000000000000 00000020"]
)
def test_offline(made: Bench, initiator: Initiator, cdb: str) -> None:
    made.lus[0].set_online(False)
    assert initiator.execute(cdb).code == OFFLINE
    assert initiator.execute("2a 00 00000000 00 0001", bytes(512)).code == OFFLINE
    assert initiator.execute("12 00 00 00 24").status is Status.GOOD
    made.lus[0].set_online(True)
    assert initiator.execute(cdb).status is Status.GOOD


def test_the_first_obstacle_counts(made: Bench, initiator: Initiator, disk: Disk) -> None:
    initiator.execute("1b 00 00 00 00")
    made.lus[0].set_online(False)
    assert initiator.execute("00").code == OFFLINE
    made.lus[0].set_online(True)
    assert initiator.execute("00").code == (
        SenseKey.NOT_READY,
        *asc.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED,
    )
    assert len(disk.obstacles) == 1


PIECES = 8


class PacedStore(RamStore):
    """All pieces of a long operation but the first wait for the test."""

    def __init__(self) -> None:
        super().__init__(2 * PIECES * PIECE_BYTES)
        self.gate = threading.Event()

    def _pass(self, offset: int) -> None:
        assert not 0 < offset < PIECES * PIECE_BYTES or self.gate.wait(10)

    def read(self, offset: int, length: int) -> Buffer:
        self._pass(offset)
        return super().read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        self._pass(offset)
        super().write(offset, data)


@pytest.mark.parametrize(
    ("cdb", "data"),
    [
        ("8f 00 0000000000000000 00004000", b""),
        ("8f 06 0000000000000000 00004000", bytes(512)),
        ("93 00 0000000000000000 00004000", b"x" * 512),
    ],
    ids=["VERIFY", "VERIFY with one block", "WRITE SAME"],
)
def test_a_long_operation_gives_its_worker_to_others_between(cdb: str, data: bytes, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_disk.medium.monotonic", side_effect=itertools.count())
    store = PacedStore()
    with bench(threads=1) as made:
        made.add(Disk, store)
        initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other")
        long = initiator.start(cdb, data)
        assert other.execute("8a 08 0000000000007fff 00000001", b"y" * 512).status is Status.GOOD
        assert long.state is State.RUNNING
        store.gate.set()
        assert initiator.finish(long).status is Status.GOOD
    assert store.content[:512] == store.content[PIECES * PIECE_BYTES - 512 : PIECES * PIECE_BYTES]


def test_a_whole_medium_is_verified_in_nobodys_way() -> None:
    store = PacedStore()
    with bench(threads=2) as made:
        made.add(Disk, store)
        initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other")
        long = initiator.start("8f 00 0000000000000000 00008000")
        data = bytes(512) + b"n" * 512
        assert other.execute("89 00 0000000000007fff 000000 01", data).status is Status.GOOD
        assert long.state is State.RUNNING
        store.gate.set()
        assert initiator.finish(long).status is Status.GOOD


def test_a_long_operation_ends_early_when_it_is_aborted(mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_disk.medium.monotonic", side_effect=itertools.count())
    store = PacedStore()
    with bench(threads=1) as made:
        made.add(Disk, store)
        long = made.initiator().start("93 00 0000000000000000 00004000", b"x" * 512)
        assert not long.abort(None)
        store.gate.set()
        made.run_until(lambda: long.state is State.ENDED, "the aborted task")
    assert not any(store.content[2 * PIECE_BYTES :])
