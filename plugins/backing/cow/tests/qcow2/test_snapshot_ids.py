import pytest
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore import StoreError
from tgtcore.testing.ram import RamStore


def test_no_id_is_another_snapshots_name() -> None:
    file = RamStore()
    create(file, CreateOptions(size_bytes=1 << 20))
    image = Image(file)
    assert image.create_snapshot("2").id == "1"
    assert image.create_snapshot("other").id == "3"
    image.delete_snapshot("2")
    assert [one.name for one in image.snapshots] == ["other"]


def test_tables_longer_than_what_a_refcount_block_counts_are_copied() -> None:
    file = RamStore()
    create(file, CreateOptions(size_bytes=64 << 20, cluster_bytes=512, refcount_bits=64))
    image = Image(file)
    image.write(0, b"x")
    image.resize(256 << 20)
    image.create_snapshot("before")
    image.write(0, b"y")
    image.revert_snapshot("before")
    assert bytes(image.read(0, 1)) == b"x"
    image.close()
    assert check(file).clean


def test_strange_names_are_escaped_and_found_as_they_are_shown() -> None:
    file = RamStore()
    create(file, CreateOptions(size_bytes=1 << 20))
    image = Image(file)
    image.create_snapshot("abcd")
    image.close()
    at = file.content.index(b"1abcd")
    file.write(at + 1, b"\x1b[2J")
    image = Image(file)
    assert [one.name for one in image.list_snapshots()] == ["\\x1b[2J"]
    with pytest.raises(StoreError, match=r'^there is no snapshot "\\x07"; expected .* one of: 1 \("\\x1b\[2J"\)$'):
        image.delete_snapshot("\x07")
    image.delete_snapshot("\\x1b[2J")
    assert image.snapshots == ()


def test_only_some_of_many_names_are_told() -> None:
    file = RamStore()
    create(file, CreateOptions(size_bytes=1 << 20))
    image = Image(file)
    for number in range(21):
        image.create_snapshot(f"name {number}")
    with pytest.raises(StoreError, match=r'20 \("name 19"\), \.\.\.$'):
        image.revert_snapshot("none")
