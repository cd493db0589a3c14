import os
import random
from typing import Any

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore import Buffer, OpenFile, Region
from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator, bench
from tgtcore.testing.ram import RamStore

OUT_OF_RANGE = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
INVALID_FIELD = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
PROTECTED = (SenseKey.DATA_PROTECT, *asc.WRITE_PROTECTED)
BLOCKS = 2048
LAST = BLOCKS - 1


def read(lba: int, blocks: int, flags: int = 0) -> bytes:
    return bytes((0x88, flags)) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)


def write(lba: int, blocks: int, flags: int = 0) -> bytes:
    return b"\x8a" + read(lba, blocks, flags)[1:]


@pytest.mark.parametrize(
    "cdb",
    [
        "08 000800 01",
        "28 00 00000800 00 0001",
        "28 00 000007ff 00 0002",
        "28 00 ffffffff 00 ffff",
        "a8 00 00000800 00000001",
        "88 00 0000000000000800 00000001",
        "88 00 ffffffffffffffff 00000001",
        "88 00 fffffffffffffff0 00000100",
        "88 00 0000000000000801 00000000",
        "28 00 00000801 00 0000",
    ],
)
@pytest.mark.parametrize("direction", [0, 2])
def test_beyond_the_end(initiator: Initiator, cdb: str, direction: int) -> None:
    raw = bytearray(bytes.fromhex(cdb))
    raw[0] += direction
    assert initiator.execute(bytes(raw), bytes(512) if direction else b"").code == OUT_OF_RANGE


def test_the_last_block_and_the_zero_blocks_behind_it(initiator: Initiator, store: RamStore) -> None:
    assert initiator.execute(write(LAST, 1), b"z" * 512).status is Status.GOOD
    assert store.content[-512:] == b"z" * 512
    assert initiator.execute(read(LAST, 1)).data == b"z" * 512
    assert initiator.execute(read(BLOCKS, 0)).status is Status.GOOD
    assert initiator.execute(write(BLOCKS, 0)).status is Status.GOOD


@pytest.mark.parametrize(
    ("cdb", "byte"), [(read(0, 129), 10), ("28 00 00000000 00 0081", 7), ("a8 00 00000000 00000081", 6)]
)
@pytest.mark.parametrize("options", [DiskOptions(max_transfer_bytes=65536)])
def test_longer_than_the_longest_transfer(initiator: Initiator, cdb: bytes | str, byte: int) -> None:
    result = initiator.execute(cdb)
    assert result.code == INVALID_FIELD
    assert result.sense.field == FieldPointer(byte, None, True)
    assert initiator.execute(read(0, 128)).status is Status.GOOD


@pytest.mark.parametrize("flags", [0x20, 0xE0, 0x01, 0x04])
def test_protection_information_is_not_there(initiator: Initiator, flags: int) -> None:
    assert initiator.execute(read(0, 1, flags)).code == INVALID_FIELD
    assert initiator.execute(write(0, 1, flags), bytes(512)).code == INVALID_FIELD


def test_data_out_that_ends_inside_a_block(initiator: Initiator, store: RamStore) -> None:
    result = initiator.execute(write(0, 4), b"x" * 1000)
    assert result.status is Status.GOOD
    assert result.residual == 1000 - 2048
    assert store.content[:1024] == b"x" * 512 + bytes(512)


def test_more_data_out_than_the_command_wants(initiator: Initiator, store: RamStore) -> None:
    result = initiator.execute(write(0, 1), b"x" * 2048)
    assert result.status is Status.GOOD
    assert result.residual == 2048 - 512
    assert store.content[:1024] == b"x" * 512 + bytes(512)


def test_no_data_out_at_all(initiator: Initiator, store: RamStore) -> None:
    assert initiator.execute(write(0, 4)).status is Status.GOOD
    assert not any(store.content)


def test_a_write_whose_data_comes_later_is_checked_again(made: Bench, initiator: Initiator, store: RamStore) -> None:
    task = initiator.start(write(LAST, 1), b"x" * 512, held=True)
    store.resize(512 * 1024)
    made.lus[0].device.capacity_changed()
    task.give_data()
    assert initiator.finish(task).code == OUT_OF_RANGE
    assert len(store.content) == 512 * 1024


class CountingStore(RamStore):
    """Says which way a command went."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write_through(self, offset: int, data: Buffer) -> None:
        self.calls.append("write_through")
        super().write(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        self.calls.append("write_nowait")
        return super().write_nowait(offset, data)

    def flush(self) -> None:
        self.calls.append("flush")


@pytest.mark.parametrize(
    ("write_cache", "flags", "way"),
    [(True, 0, "write_nowait"), (True, 8, "write_through"), (True, 2, "write_through"), (False, 0, "write_through")],
)
def test_fua_and_a_disabled_write_cache_make_a_write_durable(write_cache: bool, flags: int, way: str) -> None:
    store = CountingStore()
    with bench() as made:
        made.add(Disk, store, DiskOptions(write_cache=write_cache))
        assert made.initiator().execute(write(0, 1, flags), bytes(512)).status is Status.GOOD
        assert store.calls == [way]


@pytest.mark.parametrize("flags", [8, 2])
def test_a_read_with_fua_comes_from_the_medium(flags: int) -> None:
    store = CountingStore()
    with bench() as made:
        made.add(Disk, store)
        assert made.initiator().execute(read(0, 1, flags)).status is Status.GOOD
        assert store.calls == ["flush"]


def test_write_protected() -> None:
    with bench() as made:
        made.add(Disk, RamStore(), read_only=True)
        initiator = made.initiator()
        for cdb in ("0a", "2a", "8a", "aa", "2e", "ae", "8e", "8b", "41", "93", "89", "04"):
            whole = bytearray(bytes.fromhex(cdb).ljust(16, b"\0"))
            whole[{0x2A: 8, 0x2E: 8, 0x41: 8, 0xAA: 9, 0xAE: 9}.get(whole[0], 13)] = 1
            if whole[0] in (0x0A, 0x04):
                whole[13] = 0
            assert initiator.execute(bytes(whole), bytes(1024)).code == PROTECTED, cdb
        assert initiator.execute("1a 00 08 00 ff").data[2] & 0x80
        assert initiator.execute(read(0, 1)).status is Status.GOOD


class RegionStore(RamStore):
    def region(self, offset: int, length: int) -> Region:
        return Region(OpenFile(os.memfd_create("region")), offset, length)


@pytest.mark.parametrize(("blocks", "accepts", "region"), [(64, True, True), (63, True, False), (64, False, False)])
def test_large_reads_go_without_a_copy_where_the_transport_can(blocks: int, accepts: bool, region: bool) -> None:
    with bench() as made:
        made.add(Disk, RegionStore())
        initiator = made.initiator()
        answers: list[Any] = []

        class Sending(type(initiator.start("00"))):  # type: ignore[misc]
            accepts_region = accepts

            def done(self) -> None:
                answers.append(self.data_in)

        initiator.nexus.submit(Sending(initiator.nexus, 0, 99, 1, read(2, blocks), b"", 65536))
        assert isinstance(answers[0], Region) is region
        assert len(answers[0]) == blocks * 512


@pytest.mark.parametrize("block_size", [512, 4096])
def test_random_transfers_agree_with_a_model(block_size: int) -> None:
    chance = random.Random(block_size)
    store = RamStore(256 * block_size)
    model = bytearray(256 * block_size)
    with bench() as made:
        made.add(Disk, store, DiskOptions(block_size=block_size))  # type: ignore[arg-type]
        initiator = made.initiator()
        for _ in range(300):
            lba = chance.randrange(256)
            blocks = chance.randint(1, min(16, 256 - lba))
            start, end = lba * block_size, (lba + blocks) * block_size
            if chance.random() < 0.5:
                data = chance.randbytes(end - start)
                initiator.execute(write(lba, blocks, chance.choice((0, 8, 0x10))), data)
                model[start:end] = data
            else:
                assert initiator.execute(read(lba, blocks, chance.choice((0, 8, 0x10)))).data == model[start:end]
        assert store.content == model


def test_statistics_count_commands_and_blocks(initiator: Initiator) -> None:
    initiator.execute(write(0, 3), bytes(1536))
    initiator.execute(read(0, 5))
    page = initiator.execute("4d 00 59 00 00 00 00 00 ff").data
    figures = [int.from_bytes(page[at : at + 8], "big") for at in range(8, 40, 8)]
    assert figures == [1, 1, 3, 5]
