import pytest
from pydantic import ValidationError
from tgtcore_disk import Disk, DiskOptions

from tgtcore import ConfigError, Features
from tgtcore.testing.initiator import bench
from tgtcore.testing.ram import RamStore


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 520}, "block_size"),
        ({"physical_block_size": 1000}, "expected a power of two"),
        ({"block_size": 4096, "physical_block_size": 512}, "not less than block_size"),
        ({"max_transfer_bytes": 65536 + 512, "block_size": 4096}, "expected a multiple of block_size"),
        ({"rotation_rate": 70000}, "rotation_rate"),
        ({"blocksize": 512}, "blocksize"),
    ],
)
def test_what_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DiskOptions.model_validate(options)


def test_a_store_that_is_no_whole_number_of_blocks() -> None:
    with (
        bench() as made,
        pytest.raises(ConfigError, match=r"its size is 5000 bytes, expected a multiple of block_size \(512\)"),
    ):
        made.add(Disk, RamStore(5000))


def test_an_empty_store() -> None:
    with bench() as made, pytest.raises(ConfigError, match="its size is 0 bytes"):
        made.add(Disk, RamStore(0))


def test_no_store() -> None:
    with bench() as made, pytest.raises(ConfigError, match="needs a store"):
        made.add(Disk)


class CoarseStore(RamStore):
    block_bytes = 4096


def test_blocks_smaller_than_the_store_works_in() -> None:
    with bench() as made, pytest.raises(ConfigError, match="block_size is 512, expected a multiple of the 4096 bytes"):
        made.add(Disk, CoarseStore())


class ThickStore(RamStore):
    def features(self) -> Features:
        return super().features() & ~Features.UNMAP


def test_thin_on_a_store_that_cannot_give_space_back() -> None:
    with bench() as made, pytest.raises(ConfigError, match="thin = true, but its store can't give space back"):
        made.add(Disk, ThickStore(), DiskOptions(thin=True))
