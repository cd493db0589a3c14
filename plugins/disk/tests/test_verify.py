import pytest
from tgtcore_disk import Disk

from tgtcore import Buffer
from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore

INVALID_FIELD = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
MISCOMPARE = (SenseKey.MISCOMPARE, *asc.MISCOMPARE_DURING_VERIFY_OPERATION)
NONE, ALL, RESERVED, ONE = 0x00, 0x02, 0x04, 0x06


def verify(lba: int, blocks: int, byte_check: int) -> bytes:
    return bytes((0x8F, byte_check)) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)


def test_the_reserved_comparison_is_refused(initiator: Initiator) -> None:
    result = initiator.execute(verify(0, 1, RESERVED), bytes(512))
    assert result.code == INVALID_FIELD
    assert result.sense.field == FieldPointer(1, 2, True)
    assert initiator.execute("2e 04 00000000 00 0001", bytes(512)).code == INVALID_FIELD


@pytest.mark.parametrize("byte_check", [NONE, ALL, ONE])
def test_beyond_the_end(initiator: Initiator, byte_check: int) -> None:
    out_of_range = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    assert initiator.execute(verify(2047, 2, byte_check), bytes(1024)).code == out_of_range
    assert initiator.execute(verify(2048, 0, byte_check)).status is Status.GOOD


def test_the_whole_medium_against_one_block(initiator: Initiator, store: RamStore) -> None:
    assert initiator.execute(verify(0, 2048, ONE), bytes(512)).status is Status.GOOD
    store.content[2000 * 512 + 7] = 1
    result = initiator.execute(verify(0, 2048, ONE), bytes(512))
    assert result.code == MISCOMPARE
    assert result.sense.information == 2000


def test_the_sense_data_names_the_block(initiator: Initiator, store: RamStore) -> None:
    store.content[11 * 512] = 1
    result = initiator.execute(verify(10, 4, ALL), bytes(2048))
    assert result.code == MISCOMPARE
    assert result.sense.information == 11


def test_data_out_that_is_too_short_is_compared_as_far_as_it_goes(initiator: Initiator, store: RamStore) -> None:
    store.content[3 * 512] = 1
    assert initiator.execute(verify(0, 4, ALL), bytes(3 * 512 + 100)).status is Status.GOOD
    assert initiator.execute(verify(0, 4, ONE), bytes(100)).code == INVALID_FIELD


def test_what_becomes_not_ready_before_the_data_comes_is_not_verified(disk: Disk, initiator: Initiator) -> None:
    task = initiator.start(verify(0, 1, ALL), bytes(512), held=True)
    disk.lu.set_online(False)
    task.give_data()
    assert initiator.finish(task).code == (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_OFFLINE)


def test_verifying_never_writes(initiator: Initiator, store: RamStore) -> None:
    for opcode in ("2f 02 00000000 00 0002", "af 02 00000000 00000002 00", "8f 02 0000000000000000 00000002"):
        assert initiator.execute(opcode, b"x" * 1024).code == MISCOMPARE
    assert not any(store.content)


class ForgetfulStore(RamStore):
    """Reports success and keeps nothing."""

    def write(self, offset: int, data: Buffer) -> None:
        return

    write_through = write


def test_write_and_verify_finds_what_was_not_written() -> None:
    with bench() as made:
        made.add(Disk, ForgetfulStore())
        assert made.initiator().execute("2e 00 00000000 00 0001", b"x" * 512).code == MISCOMPARE


class UnreadableStore(RamStore):
    def read(self, offset: int, length: int) -> Buffer:
        raise OSError(5, "a bad sector")


def test_a_medium_that_cannot_be_read() -> None:
    with bench() as made:
        made.add(Disk, UnreadableStore())
        result = made.initiator().execute(verify(0, 1, NONE))
        assert result.code == (SenseKey.MEDIUM_ERROR, *asc.UNRECOVERED_READ_ERROR)
