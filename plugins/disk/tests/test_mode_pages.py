import threading

import pytest
from pytest_mock import MockerFixture
from tgtcore_disk import Disk, DiskOptions

from tgtcore import Buffer
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.task import State
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore

WRITE = "2a 00 00000000 00 0001"
WCE, SWP = 0x04, 0x08


def page(initiator: Initiator, code: int, control: int = 0) -> bytearray:
    return bytearray(initiator.execute(bytes((0x1A, 0x08, control << 6 | code, 0, 0xFF, 0))).data[4:])


def select(initiator: Initiator, data: bytes, header: bytes = bytes(4)) -> tuple[int, int, int]:
    whole = header + data
    return initiator.execute(bytes((0x15, 0x10, 0, 0, len(whole), 0)), whole).code


def test_the_pages(initiator: Initiator) -> None:
    data, codes, at = initiator.execute("1a 08 3f 00 ff").data, [], 4
    while at < len(data):
        codes.append(data[at])
        at += 2 + data[at + 1]
    assert codes == [0x01, 0x08, 0x0A, 0x1C]


@pytest.mark.parametrize(("options", "bit"), [(DiskOptions(), WCE), (DiskOptions(write_cache=False), 0)])
def test_write_cache(initiator: Initiator, options: DiskOptions, bit: int) -> None:
    assert page(initiator, 0x08)[2] == bit
    assert page(initiator, 0x08, 1)[2] == WCE


def test_the_write_cache_can_be_disabled_and_comes_back_with_a_reset(initiator: Initiator, disk: Disk) -> None:
    caching = page(initiator, 0x08)
    caching[2] &= ~WCE
    assert select(initiator, bytes(caching)) == (0, 0, 0)
    assert disk.write_through
    disk.lu.reset()
    assert not disk.write_through


def test_software_write_protection(initiator: Initiator, store: RamStore) -> None:
    control = page(initiator, 0x0A)
    control[4] |= SWP
    assert select(initiator, bytes(control)) == (0, 0, 0)
    assert initiator.execute(WRITE, b"x" * 512).code == (SenseKey.DATA_PROTECT, *asc.WRITE_PROTECTED)
    assert initiator.execute("1a 00 08 00 ff").data[2] == 0x90
    control[4] &= ~SWP
    assert select(initiator, bytes(control)) == (0, 0, 0)
    assert initiator.execute(WRITE, b"x" * 512).status is Status.GOOD
    assert store.content[0] == ord("x")


PROTECTED = (SenseKey.DATA_PROTECT, *asc.WRITE_PROTECTED)


@pytest.mark.parametrize(
    ("cdb", "data"),
    [
        (WRITE, b"x" * 512),
        ("2e 00 00000000 00 0001", b"x" * 512),
        ("41 00 00000000 00 0001", b"x" * 512),
        ("89 00 0000000000000000 000000 01", bytes(512) + b"x" * 512),
        ("8b 00 0000000000000000 00000001", b"x" * 512),
        ("42 00 00000000 00 0018", bytes.fromhex("0016 0010 00000000 0000000000000001 00000001 00000000")),
        ("04 10", bytes(4)),
    ],
)
def test_data_that_comes_after_the_medium_was_protected_is_not_written(
    initiator: Initiator, other: Initiator, store: RamStore, cdb: str, data: bytes
) -> None:
    store.write(512, b"y" * 512)
    task = other.start(cdb, data, held=True)
    control = page(initiator, 0x0A)
    control[4] |= SWP
    assert select(initiator, bytes(control)) == (0, 0, 0)
    before = bytes(store.content)
    task.give_data()
    assert other.finish(task).code == PROTECTED
    assert store.content == before


class SlowStore(RamStore):
    """Writes wait for the test, and what was written is durable only after a flush."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.durable = bytes(self.content)

    def write(self, offset: int, data: Buffer) -> None:
        assert self.gate.wait(10)
        super().write(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return False

    def flush(self) -> None:
        super().flush()
        self.durable = bytes(self.content)


@pytest.mark.parametrize(("code", "byte", "bits"), [(0x08, 2, WCE), (0x0A, 4, SWP)])
def test_what_the_cache_holds_is_durable_before_it_is_disabled_or_writes_are_refused(
    code: int, byte: int, bits: int
) -> None:
    store = SlowStore()
    with bench() as made:
        made.add(Disk, store)
        initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other")
        cached = other.start(WRITE, b"x" * 512)
        changed = page(initiator, code)
        changed[byte] ^= bits
        data = bytes(4) + bytes(changed)
        select = initiator.start(bytes((0x15, 0x10, 0, 0, len(data), 0)), data)
        assert select.state is not State.ENDED
        store.gate.set()
        assert initiator.finish(select).status is Status.GOOD
        assert other.finish(cached).status is Status.GOOD
        assert store.flushes == 1
        assert store.durable[:512] == b"x" * 512
        assert page(initiator, code) == changed


@pytest.mark.parametrize(("cdb", "data"), [(WRITE, b"y" * 512), ("04", b"")])
def test_a_write_that_waits_while_the_medium_is_protected_is_refused(cdb: str, data: bytes) -> None:
    store = SlowStore()
    with bench() as made:
        made.add(Disk, store)
        initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other")
        cached = other.start(WRITE, b"x" * 512)
        control = page(initiator, 0x0A)
        control[4] |= SWP
        protects = initiator.start(bytes((0x15, 0x10, 0, 0, 4 + len(control), 0)), bytes(4) + bytes(control))
        waits = other.start(cdb, data)
        store.gate.set()
        assert other.finish(cached).status is Status.GOOD
        assert initiator.finish(protects).status is Status.GOOD
        assert other.finish(waits).code == PROTECTED
        assert store.content[:512] == b"x" * 512


def test_a_cache_that_cannot_be_emptied_is_an_error(mocker: MockerFixture) -> None:
    store = RamStore()
    with bench() as made:
        made.add(Disk, store)
        initiator = made.initiator()
        caching = page(initiator, 0x08)
        caching[2] &= ~WCE
        mocker.patch.object(store, "flush", side_effect=[OSError(5, "the disk is gone"), None])
        assert select(initiator, bytes(caching))[0] == SenseKey.MEDIUM_ERROR


@pytest.mark.parametrize("fails", [False, True])
def test_a_reset_that_disables_the_cache_empties_it(
    fails: bool, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    store = RamStore()
    with bench() as made:
        lu = made.add(Disk, store, DiskOptions(write_cache=False))
        initiator = made.initiator()
        caching = page(initiator, 0x08)
        caching[2] |= WCE
        assert select(initiator, bytes(caching)) == (0, 0, 0)
        assert initiator.execute(WRITE, b"x" * 512).status is Status.GOOD
        flush = mocker.patch.object(
            store, "flush", side_effect=[OSError(5, "the disk is gone") if fails else None, None]
        )
        assert lu.store
        users = len(lu.store.leases)
        lu.reset()
        assert len(lu.store.leases) == users + 1, "it must not be closed meanwhile"
        made.run_until(lambda: lu.store and len(lu.store.leases) == users, "the flush")
        assert flush.call_count == 1
        assert [record.getMessage() for record in caplog.records] == [
            f"flush of {lu} after a reset failed: what initiators wrote before may be lost: [Errno 5] the disk is gone"
        ] * fails
        lu.reset()
        assert flush.call_count == 1, "nothing was cached since"


def test_a_reset_of_a_disk_that_goes_away_leaves_the_flush_to_the_end(mocker: MockerFixture) -> None:
    store = RamStore()
    with bench() as made:
        lu = made.add(Disk, store, DiskOptions(write_cache=False))
        initiator = made.initiator()
        caching = page(initiator, 0x08)
        caching[2] |= WCE
        assert select(initiator, bytes(caching)) == (0, 0, 0)
        assert lu.store
        lu.store.leases.shut()
        lu.reset()
        assert store.flushes == 0
    assert store.flushes == 1


def test_block_descriptors(initiator: Initiator) -> None:
    assert initiator.execute("1a 00 08 00 ff").data[3:12] == bytes.fromhex("08 00000800 00 000200")
    long = initiator.execute("5a 10 08 00 00 00 00 00 ff").data
    assert long[4] == 1
    assert long[6:24] == bytes.fromhex("0010 0000000000000800 00000000 00000200")


@pytest.mark.parametrize(
    ("descriptor", "fits"),
    [
        ("00000800 00 000200", True),
        ("00000000 00 000200", True),
        ("ffffffff 00 000200", True),
        ("00000400 00 000200", False),
        ("00000800 00 001000", False),
        ("00000800 01 000200", False),
    ],
)
def test_the_medium_cannot_be_given_other_blocks(initiator: Initiator, descriptor: str, fits: bool) -> None:
    code = select(initiator, b"", header=b"\0\0\0\x08" + bytes.fromhex(descriptor))
    assert code == ((0, 0, 0) if fits else (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_PARAMETER_LIST))


def test_a_read_only_disk_has_no_write_cache() -> None:
    with bench() as made:
        made.add(Disk, RamStore(), read_only=True)
        initiator = made.initiator()
        assert page(initiator, 0x08)[2] == 0
        assert page(initiator, 0x08, 1)[2] == 0
        assert initiator.execute("1a 00 08 00 ff").data[2] & 0x80
