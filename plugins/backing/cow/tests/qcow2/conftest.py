"""Small images in memory whose bytes can be damaged."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from tgtcore_cow.qcow2.check import Report, check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.header import Autoclear, ExtensionType, Header
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.layout import OFFSET

from tgtcore.testing.ram import RamStore


class Small:
    """An image in memory: 20 clusters of data in two tables, a snapshot where clusters can be shared, and 4 written since."""

    def __init__(self, options: CreateOptions) -> None:
        self.file = RamStore(0)
        self.data_file = RamStore(0) if options.data_file else None
        create(self.file, options, self.data_file)
        image = Image(self.file, data_file=self.data_file)
        cluster = options.cluster_bytes
        image.write(0, b"a" * 10 * cluster)
        image.write(options.size_bytes // 2, b"b" * 10 * cluster)
        if options.refcount_bits > 1 and not options.data_file:
            image.create_snapshot("before")
        image.write(2 * cluster, b"c" * 4 * cluster)
        image.flush()
        image.close()
        self.file.resize(check(self.file).image_end_offset)
        self.cluster_bytes = cluster
        self.words = 2 if options.extended_l2 else 1

    @property
    def header(self) -> Header:
        return read_header(self.file)

    def disk(self) -> bytes:
        image = Image(self.file, data_file=self.data_file, read_only=True)
        return bytes(image.read(0, image.size_bytes))

    def word(self, offset: int) -> int:
        return int.from_bytes(self.file.read(offset, 8), "big")

    def poke(self, offset: int, word: int) -> None:
        self.file.write(offset, word.to_bytes(8, "big"))

    def l2(self, table: int = 0, entry: int = 0) -> int:
        """Where an entry of an L2 table of the disk is."""
        return (self.word(self.header.l1_offset + 8 * table) & OFFSET) + 8 * self.words * entry

    def set_count(self, offset: int, count: int) -> None:
        """The count of the cluster at an offset, in the first block, where counts have 16 bits."""
        block = self.word(self.header.refcount_table_offset)
        self.file.write(block + 2 * (offset // self.cluster_bytes), struct.pack(">H", count))

    def set_header(self, **fields: int) -> None:
        self.file.write(0, replace(self.header, **fields).patched(bytes(self.file.read(0, 512))))

    def add_bitmap(self, *entries: int) -> int:
        """Directory, table and as many clusters for the bitmap's bits as its table has entries; returns where the table is."""
        directory = self.file.size_bytes
        table = directory + self.cluster_bytes
        self.file.resize(table + self.cluster_bytes)
        self.file.write(directory, struct.pack(">QIIBBHI", table, len(entries), 2, 1, 16, 5, 0) + b"dirty\0\0\0")
        for number, entry in enumerate(entries):
            self.poke(table + 8 * number, entry)
        extension = struct.pack(">IIQQ", 1, 0, 32, directory)
        header = self.header.with_extension(ExtensionType.BITMAPS, extension)
        self.file.write(0, header.encode().ljust(512, b"\0"))
        self.set_header(autoclear=Autoclear.BITMAPS)
        return table

    def forget_snapshot_sizes(self) -> None:
        """As programs did that made version 3 of version 2: an entry without any extra data."""
        at = self.header.snapshots_offset
        fields = list(struct.unpack_from(">QIHHIIQII", self.file.content, at))
        rest = bytes(self.file.content[at + 40 + fields[-1] :][: fields[2] + fields[3]])
        fields[-1] = 0
        self.file.write(at, (struct.pack(">QIHHIIQII", *fields) + rest).ljust(self.cluster_bytes, b"\0"))

    def check(self) -> Report:
        return check(self.file)


@pytest.fixture(scope="session")
def small() -> Callable[..., Small]:
    """Makes such an image."""

    def make(size_bytes: int = 128 * 512, *, cluster_bytes: int = 512, **options: object) -> Small:
        return Small(CreateOptions(size_bytes, cluster_bytes=cluster_bytes, **options))  # type: ignore[arg-type]

    return make
