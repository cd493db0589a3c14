import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.scsi.inquiry import VersionDescriptor
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore


def page(initiator: Initiator, code: int) -> bytes:
    return initiator.execute(bytes((0x12, 1, code, 0xFF, 0xFF, 0))).data


def number(data: bytes, at: int, end: int) -> int:
    return int.from_bytes(data[at:end], "big")


def test_the_pages(initiator: Initiator) -> None:
    assert list(page(initiator, 0x00)[4:]) == [0x00, 0x80, 0x83, 0x86, 0x88, 0xB0, 0xB1, 0xB2]


def test_it_claims_to_be_a_disk(initiator: Initiator) -> None:
    data = initiator.execute("12 00 00 00 60").data
    assert data[0] == 0
    assert VersionDescriptor.SBC_3.to_bytes(2, "big") in data[58:]


@pytest.mark.parametrize("block_size", [512, 4096])
@pytest.mark.parametrize("thin", [True, False])
def test_block_limits(block_size: int, thin: bool) -> None:
    with bench() as made:
        options = DiskOptions.model_validate({"block_size": block_size, "thin": thin, "max_transfer_bytes": 1 << 20})
        made.add(Disk, RamStore(), options)
        data = page(made.initiator(), 0xB0)
    assert data[5] == 255
    assert number(data, 6, 8) == 4096 // block_size
    assert number(data, 8, 12) == (1 << 20) // block_size
    assert number(data, 12, 16) == (1 << 20) // block_size
    assert (number(data, 20, 24) > 0) is thin
    assert (number(data, 24, 28) > 0) is thin
    assert number(data, 28, 32) == (4096 // block_size if thin else 0)
    assert number(data, 32, 36) == (1 << 31 if thin else 0)
    assert number(data, 36, 44) > 0


class SpinningStore(RamStore):
    rotational = True


@pytest.mark.parametrize(
    ("store", "options", "rate"),
    [
        (RamStore, DiskOptions(), 1),
        (SpinningStore, DiskOptions(), 7200),
        (RamStore, DiskOptions(rotation_rate=10000), 10000),
        (SpinningStore, DiskOptions(rotation_rate=0), 0),
    ],
)
def test_rotation_rate(store: type[RamStore], options: DiskOptions, rate: int) -> None:
    with bench() as made:
        made.add(Disk, store(), options)
        assert number(page(made.initiator(), 0xB1), 4, 6) == rate


@pytest.mark.parametrize(("options", "flags", "kind"), [(DiskOptions(), 0xE6, 2), (DiskOptions(thin=False), 0x00, 0)])
def test_provisioning_says_what_the_commands_do(
    initiator: Initiator, options: DiskOptions, flags: int, kind: int
) -> None:
    data = page(initiator, 0xB2)
    assert data[5] == flags
    assert data[6] == kind


def test_a_read_only_disk_has_no_volatile_cache() -> None:
    with bench() as made:
        made.add(Disk, RamStore(), read_only=True)
        made.add(Disk, RamStore())
        initiator = made.initiator()
        assert page(initiator, 0x86)[6] & 1 == 0
        assert initiator.execute("12 01 86 00 ff", lun=1).data[6] & 1
