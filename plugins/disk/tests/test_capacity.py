import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore


def capacity_16(initiator: Initiator) -> bytes:
    return initiator.execute("9e 10 0000000000000000 00000020").data


@pytest.mark.parametrize(
    ("options", "blocks", "exponent"),
    [
        (DiskOptions(), 2048, 3),  # the store prefers 4096 bytes
        (DiskOptions(physical_block_size=512), 2048, 0),
        (DiskOptions(block_size=4096), 256, 0),
    ],
)
def test_blocks(initiator: Initiator, options: DiskOptions, blocks: int, exponent: int) -> None:
    data = capacity_16(initiator)
    assert int.from_bytes(data[:8], "big") == blocks - 1
    assert int.from_bytes(data[8:12], "big") == options.block_size
    assert data[13] == exponent
    assert len(data) == 32
    assert initiator.execute("25").data == (blocks - 1).to_bytes(4, "big") + options.block_size.to_bytes(4, "big")


@pytest.mark.parametrize(("options", "flags"), [(DiskOptions(), 0xC0), (DiskOptions(thin=False), 0)])
def test_provisioning(initiator: Initiator, flags: int, options: DiskOptions) -> None:
    assert capacity_16(initiator)[14] == flags


class HugeStore(RamStore):
    """As if it had 4 PiB."""

    def __init__(self) -> None:
        super().__init__(0)
        self.size_bytes = 1 << 52


def test_more_blocks_than_the_short_command_can_say() -> None:
    with bench() as made:
        made.add(Disk, HugeStore())
        initiator = made.initiator()
        assert initiator.execute("25").data[:4] == b"\xff" * 4
        assert int.from_bytes(capacity_16(initiator)[:8], "big") == (1 << 43) - 1


def test_an_address_is_refused(initiator: Initiator) -> None:
    refused = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
    assert initiator.execute("25 00 00000001").code == refused
    assert initiator.execute("25 00 00000000 00 00 01").code == refused
