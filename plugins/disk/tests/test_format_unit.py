import threading

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore

FORMATTING = (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS)


@pytest.mark.parametrize("options", [DiskOptions(), DiskOptions(thin=False)])
@pytest.mark.parametrize(
    ("cdb", "data"),
    [("04", b""), ("04 10", bytes(4)), ("04 10", b"\0\x82\0\0"), ("04 30", bytes(8)), ("04 18", bytes(4))],
)
def test_all_zero_and_durable(
    initiator: Initiator, store: RamStore, cdb: str, data: bytes, options: DiskOptions
) -> None:
    store.content[:] = b"o" * len(store.content)
    assert initiator.execute(cdb, data).status is Status.GOOD
    assert not any(store.content)
    assert store.flushes == 1


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (b"\1\0\0\0", FieldPointer(0, None, False)),
        (b"\0\x20\0\0", FieldPointer(1, None, False)),
        (b"\0\0\0\4", FieldPointer(3, None, False)),
        (b"\0\0\1\0", FieldPointer(2, None, False)),
    ],
)
def test_what_there_is_not_is_refused(
    initiator: Initiator, store: RamStore, header: bytes, field: FieldPointer
) -> None:
    store.content[0] = 1
    result = initiator.execute("04 10", header + bytes(4))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_PARAMETER_LIST)
    assert result.sense.field == field
    assert store.content[0] == 1


@pytest.mark.parametrize(("cdb", "length"), [("04 10", 3), ("04 10", 0), ("04 30", 7)])
def test_a_list_that_is_too_short(initiator: Initiator, cdb: str, length: int) -> None:
    assert initiator.execute(cdb, bytes(length)).code == (SenseKey.ILLEGAL_REQUEST, *asc.PARAMETER_LIST_LENGTH_ERROR)


def test_a_long_list_without_format_data(initiator: Initiator) -> None:
    assert initiator.execute("04 20").code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)


class GatedStore(RamStore):
    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def unmap(self, offset: int, length: int) -> None:
        assert self.gate.wait(10)
        super().unmap(offset, length)


def test_other_commands_are_told_meanwhile() -> None:
    store = GatedStore()
    with bench() as made:
        made.add(Disk, store)
        initiator = made.initiator()
        formatting = initiator.start("04")
        assert initiator.execute("28 00 00000000 00 0001").code == FORMATTING
        assert initiator.execute("04").code == FORMATTING
        assert initiator.execute("12 00 00 00 24").status is Status.GOOD
        store.gate.set()
        assert initiator.finish(formatting).status is Status.GOOD
        assert initiator.execute("28 00 00000000 00 0001").status is Status.GOOD
