"""The name of the backing file in the header, and what an image itself must have to stand on something else."""

import pytest
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import ExtensionType, Header
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.rebasing import Nothing, keep_content, name_backing

from tgtcore import Buffer
from tgtcore.testing.ram import RamStore


class Noting(RamStore):
    """Keeps what it held after each write."""

    def __init__(self) -> None:
        super().__init__(0)
        self.states: list[bytes] = []

    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, data)
        self.states.append(bytes(self.content))


def made(cluster_bytes: int, name: str = "", data_file: str = "", **options: object) -> Noting:
    file = Noting()
    named = {"backing_file": name, "backing_format": "raw"} if name else {}
    data = RamStore(0) if data_file else None
    create(file, CreateOptions(1 << 20, cluster_bytes=cluster_bytes, data_file=data_file, **named, **options), data)  # type: ignore[arg-type]
    file.states.clear()
    return file


def header_of(content: bytes) -> Header:
    file = RamStore(len(content))
    file.write(0, content)
    return read_header(file)


@pytest.mark.parametrize("cluster_bytes", [512, 4096, 65536])
@pytest.mark.parametrize("old", ["", "old", "old" * 50])
@pytest.mark.parametrize("new", ["", "new", "of the same length", "new" * 50])
@pytest.mark.parametrize("version", [2, 3])
def test_each_write_leaves_one_name_or_the_other(cluster_bytes: int, old: str, new: str, version: int) -> None:
    file = made(cluster_bytes, old, version=version)
    before = read_header(file)
    name_backing(file, new, "qcow2")
    seen = [header_of(state).backing_file for state in file.states]
    assert set(seen) <= {old, new}
    assert seen == sorted(seen, key=[old, new].index)
    after = read_header(file)
    assert (after.backing_file, after.backing_format) == (new, "qcow2" if new else "")
    names = ExtensionType.FEATURE_NAMES
    assert after.extension(names) == before.extension(names)
    for state in file.states:
        told = header_of(state)
        assert told.backing_format == {old: "raw" if old else "", new: "qcow2" if new else ""}[told.backing_file]


def test_the_data_file_is_named_all_the_while() -> None:
    file = made(65536, "old", data_file="d" * 200)
    name_backing(file, "new", "raw")
    assert {header_of(state).data_file for state in file.states} == {"d" * 200}


@pytest.mark.parametrize(("cluster_bytes", "name"), [(512, "x" * 400), (1024, "x" * 700), (65536, "x" * 1024)])
def test_a_name_without_room_changes_nothing(cluster_bytes: int, name: str) -> None:
    file = made(cluster_bytes, "old" * 80)
    before = bytes(file.content)
    with pytest.raises(ImageError, match=r"header has|name of the backing file has 1024 bytes"):
        name_backing(file, name, "raw")
    assert bytes(file.content) == before


def test_only_what_reads_otherwise_is_kept() -> None:
    file = made(512, "old")
    old, new = RamStore(1 << 20), RamStore(1 << 19)
    old.write(0, b"same" * 1024 + b"old!" * 1024)
    new.write(0, b"same" * 1024 + b"new!" * 2048)
    image = Image(file, backing=old)
    assert list(keep_content(image, old, new))[-1] == 1 << 20
    image.flush()
    kept = Image(file, backing=Nothing(), read_only=True)
    assert bytes(kept.read(0, 12288)) == bytes(4096) + b"old!" * 1024 + bytes(4096)
    there = Image(file, backing=new, read_only=True)
    assert bytes(there.read(0, 1 << 20)) == bytes(old.content)
