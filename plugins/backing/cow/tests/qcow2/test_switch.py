"""How often the disk is waited for while an image changes at one stroke, and what is left when that fails."""

import errno

import pytest
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore.testing.ram import RamStore

CLUSTER = 4096
SIZE = 4 << 20
HALF = (2 << 20) - CLUSTER


class Counting(RamStore):
    """Counts what takes time, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(0)
        self.unmaps = 0
        self.failing_flushes: set[int] = set()

    def flush(self) -> None:
        super().flush()
        if self.flushes in self.failing_flushes:
            raise OSError(errno.EIO, "lost")

    def unmap(self, offset: int, length: int) -> None:
        self.unmaps += 1
        super().unmap(offset, length)


@pytest.fixture
def file() -> Counting:
    made = Counting()
    create(made, CreateOptions(SIZE, cluster_bytes=CLUSTER))
    return made


def flushed(file: Counting) -> Image:
    """Half full, with nothing left to write."""
    image = Image(file)
    image.write(0, b"1" * HALF)
    image.flush()
    file.flushes = file.unmaps = 0
    return image


def test_a_snapshot_of_what_is_flushed_waits_twice(file: Counting) -> None:
    """For what it refers to, and for the header."""
    image = flushed(file)
    for name in ("one", "two"):
        file.flushes = 0
        image.create_snapshot(name)
        assert file.flushes == 2
    assert file.unmaps == 0


@pytest.mark.parametrize(
    ("offset", "flushes"),
    [
        pytest.param(0, 2, id="data in place"),
        pytest.param(HALF, 3, id="a new cluster"),
        pytest.param(SIZE - CLUSTER, 4, id="a new table"),
    ],
)
def test_a_snapshot_of_what_was_just_written_waits_no_longer_than_the_order_needs(
    file: Counting, offset: int, flushes: int
) -> None:
    image = flushed(file)
    image.write(offset, b"2" * 512)
    image.create_snapshot("one")
    assert file.flushes == flushes
    image.write(offset, b"3" * 512)
    image.flush()
    image.revert_snapshot("one")
    assert bytes(image.read(offset, 512)) == b"2" * 512
    image.close()
    assert check(file).clean


def test_what_was_retired_before_a_snapshot_is_given_back_by_the_next_flush(file: Counting) -> None:
    image = flushed(file)
    image.unmap(0, 16 * CLUSTER)
    image.create_snapshot("one")
    assert check(file).leak_count == 16
    image.flush()
    assert check(file).clean


@pytest.mark.parametrize("failing", [1, 2])
def test_a_snapshot_that_could_not_be_made_durable_costs_nothing(file: Counting, failing: int) -> None:
    image = flushed(file)
    image.unmap(0, 16 * CLUSTER)
    image.write(HALF, b"2" * 512)
    file.failing_flushes = {failing}
    with pytest.raises(OSError, match="lost"):
        image.create_snapshot("one")
    assert image.snapshots == ()
    image.flush()
    assert bytes(image.read(HALF, 512)) == b"2" * 512
    image.close()
    assert check(file).clean


def test_a_snapshot_that_is_refused_costs_nothing(file: Counting) -> None:
    image = flushed(file)
    image.create_snapshot("one")
    image.unmap(0, 16 * CLUSTER)
    with pytest.raises(Exception, match="there is a snapshot"):
        image.create_snapshot("one")
    image.delete_snapshot("one")
    image.close()
    assert check(file).clean
