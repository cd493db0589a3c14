"""Version 2 can't say that a cluster reads as zeroes while something else is beneath it."""

import pytest
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore import Features
from tgtcore.testing.ram import RamStore

SIZE = 64 << 10


def over_a_longer_one() -> tuple[RamStore, Image]:
    file, backing = RamStore(), RamStore(2 * SIZE)
    backing.write(0, b"b" * 2 * SIZE)
    options = CreateOptions(
        size_bytes=SIZE, version=2, cluster_bytes=4096, backing_file="beneath", backing_format="raw"
    )
    create(file, options)
    return file, Image(file, backing=backing)


def test_a_longer_disk_does_not_show_what_is_beneath() -> None:
    file, image = over_a_longer_one()
    image.resize(SIZE + 10_240)
    image.flush()
    assert image.read(0, SIZE) == b"b" * SIZE
    assert image.read(SIZE, 10_240) == bytes(10_240)
    assert check(file).clean


def test_a_disk_that_was_shorter_in_between_does_not_show_what_it_had() -> None:
    file, image = over_a_longer_one()
    image.write(0, b"w" * SIZE)
    image.resize(10_240)
    image.resize(SIZE)
    image.flush()
    assert image.read(0, SIZE) == (b"w" * 10_240).ljust(SIZE, b"\0")
    assert check(file).clean


@pytest.mark.parametrize("how", ["unmap", "write_zeroes"])
def test_zeroes_are_written(how: str) -> None:
    """The feature is not offered, for it saves nothing; a caller who uses it all the same gets zeroes."""
    file, image = over_a_longer_one()
    assert not {Features.UNMAP, Features.WRITE_ZEROES} & set(image.features())
    getattr(image, how)(1024, 10_240)
    image.flush()
    assert image.read(0, 12_288) == b"b" * 1024 + bytes(10_240) + b"b" * 1024
    assert check(file).clean
