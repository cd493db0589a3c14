from dataclasses import replace
from typing import Any

import pytest
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import MAGIC, ExtensionType, decode, feature_names
from tgtcore_cow.qcow2.refcount_codec import unpack

from tgtcore import Buffer, Features
from tgtcore.testing.ram import RamStore

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
CLUSTERS = [512 << bits for bits in range(13)]
WIDTHS = [1, 2, 4, 8, 16, 32, 64]


class Recorder(RamStore):
    """Keeps the file as it was after each call, and where it was flushed."""

    def __init__(self, size_bytes: int = 0) -> None:
        super().__init__(size_bytes)
        self.states: list[bytes | None] = []

    def write(self, offset: int, data: Buffer) -> None:
        assert len(data)
        assert offset % self.block_bytes == 0
        assert len(data) % self.block_bytes == 0
        super().write(offset, data)
        self.states.append(bytes(self.content))

    def flush(self) -> None:
        super().flush()
        self.states.append(None)


class Fixed(Recorder):
    """A file that stays as long as it is, with what somebody else has left in it."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.content = bytearray(b"QFI\xfb old" * (size_bytes // 8))

    def features(self) -> Features:
        return super().features() & ~Features.RESIZE


def _created(file: RamStore, options: CreateOptions) -> None:
    """Make it and check that it is consistent: every cluster of it is counted once, and nothing else is."""
    header = create(file, options)
    assert decode(bytes(file.content[: 2 * MIB])) == header
    sizes = header.layout
    first = header.refcount_table_offset
    after = first + header.refcount_table_clusters * sizes.cluster_bytes
    table = [int.from_bytes(file.content[at : at + 8], "big") for at in range(first, after, 8)]
    used = -(-header.l1_entries * 8 // sizes.cluster_bytes)
    blocks = [at for at in table if at]
    assert blocks == [(1 + header.refcount_table_clusters + at) * sizes.cluster_bytes for at in range(len(blocks))]
    counts = [
        count for at in blocks for count in unpack(file.content[at : at + sizes.cluster_bytes], header.refcount_order)
    ]
    end = 1 + header.refcount_table_clusters + len(blocks) + used
    assert counts == [1] * end + [0] * (len(counts) - end)
    assert header.l1_offset == ((end - used) * sizes.cluster_bytes if used else 0)
    assert not any(file.content[(end - used) * sizes.cluster_bytes : end * sizes.cluster_bytes]), (
        "the L1 table is empty"
    )
    assert file.size_bytes >= end * sizes.cluster_bytes


@pytest.mark.parametrize("cluster_bytes", CLUSTERS[::4])
@pytest.mark.parametrize("size_bytes", [0, 512, 100 * MIB + 512, 10 * GIB])
@pytest.mark.parametrize("refcount_bits", WIDTHS[::3])
def test_every_cluster_of_a_new_image_is_counted(cluster_bytes: int, size_bytes: int, refcount_bits: int) -> None:
    file = Recorder()
    _created(file, CreateOptions(size_bytes, cluster_bytes=cluster_bytes, refcount_bits=refcount_bits))
    assert file.size_bytes % cluster_bytes == 0


def test_reference_counts_count_themselves() -> None:
    """Small clusters and wide counts: the table takes more than one cluster, and its clusters more counts."""
    header = create(file := RamStore(0), CreateOptions(40 * GIB, cluster_bytes=512, refcount_bits=64))
    assert header.refcount_table_clusters > 1
    assert file.size_bytes // 512 <= header.refcount_table_clusters * 64 * 64


@pytest.mark.parametrize(
    "keys",
    [
        {"version": 2},
        {"extended_l2": True},
        {"compression": "zstd"},
        {"lazy_refcounts": True},
        {"backing_file": "base.raw", "backing_format": "raw"},
        {"backing_file": "base.qcow2", "backing_format": "qcow2", "version": 2, "cluster_bytes": 512},
        {"backing_file": "\udcff.qcow2", "backing_format": "qcow2", "feature_names": False},
    ],
)
def test_the_header_says_what_was_asked_for(keys: dict[str, Any]) -> None:
    options = CreateOptions(MIB, **keys)
    header = create(file := RamStore(0), options)
    assert decode(bytes(file.content[:65536])) == header
    said = CreateOptions(
        header.size_bytes,
        version=header.version,
        cluster_bytes=header.layout.cluster_bytes,
        extended_l2=header.extended_l2,
        compression=header.compression,
        lazy_refcounts=bool(header.compatible),
        backing_file=header.backing_file,
        backing_format=header.backing_format,
        feature_names=options.feature_names,
    )
    assert said == options
    names = header.extension(ExtensionType.FEATURE_NAMES)
    assert names == (feature_names() if options.names_features else None)


@pytest.mark.parametrize("raw", [False, True])
def test_an_external_data_file_is_emptied_and_as_long_as_the_disk(raw: bool) -> None:
    data = RamStore(3 * MIB)
    data.write(5, b"old")
    header = create(RamStore(0), CreateOptions(MIB, data_file="disk.raw", data_file_raw=raw), data)
    assert (header.data_file, header.has_data_file, header.data_file_is_raw) == ("disk.raw", True, raw)
    assert data.content == bytes(MIB)
    assert data.flushes


@pytest.mark.parametrize(("name", "data"), [("disk.raw", None), ("", RamStore())])
def test_an_external_data_file_needs_name_and_file(name: str, data: RamStore | None) -> None:
    with pytest.raises(ImageError, match="both a name and a file"):
        create(RamStore(0), CreateOptions(MIB, data_file=name), data)


@pytest.mark.parametrize("make", [Recorder, Fixed])
@pytest.mark.parametrize("block_bytes", [1, 512, 4096])
def test_the_magic_comes_last_and_after_all_else_is_durable(make: type[Recorder], block_bytes: int) -> None:
    file = make(MIB)
    file.block_bytes = block_bytes
    _created(file, CreateOptions(GIB))
    *before, flushed, complete, last = file.states
    assert flushed is None
    assert last is None
    assert complete == bytes(file.content)
    emptied = before.index(None)
    assert before[emptied + 1 :], "after the file was emptied, durably, it is filled"
    assert not any(state and state.startswith(MAGIC) for state in before[emptied:])
    assert complete[4:] == next(state for state in reversed(before) if state)[4:]


def test_what_a_file_had_is_gone() -> None:
    file = RamStore(MIB)
    file.write(0, b"x" * MIB)
    _created(file, CreateOptions(MIB, cluster_bytes=4096))
    assert b"x" not in file.content


def test_a_fixed_file_must_be_large_enough() -> None:
    with pytest.raises(ImageError, match=r"the image needs 262144 bytes; its file has 196608 and can't grow"):
        create(Fixed(192 * KIB), CreateOptions(MIB))
    with pytest.raises(ImageError, match=r"the external data file needs 1048576 bytes; its file has 524288"):
        create(RamStore(0), CreateOptions(MIB, data_file="data"), Fixed(512 * KIB))


def test_clusters_hold_whole_blocks() -> None:
    file = RamStore(0)
    file.block_bytes = 4096
    with pytest.raises(ImageError, match="clusters of 512 bytes are smaller than a block of 4096 bytes"):
        create(file, CreateOptions(MIB, cluster_bytes=512))
    with pytest.raises(ImageError, match="the external data file needs 512 bytes, which are not whole blocks of 4096"):
        create(RamStore(0), CreateOptions(512, data_file="data"), file)


def test_header_and_names_must_fit_into_the_first_cluster() -> None:
    name = "n" * 376
    options = CreateOptions(MIB, cluster_bytes=512, backing_file=name, backing_format="raw")
    _created(RamStore(0), options)
    file = RamStore(0)
    for keys in {"backing_file": name + "n"}, {"feature_names": True}:
        with pytest.raises(ImageError, match="expected at most one cluster of 512"):
            create(file, replace(options, **keys))
    with pytest.raises(ImageError, match="the backing file has 1024 bytes, expected at most 1023"):
        create(file, CreateOptions(MIB, backing_file="n" * 1024, backing_format="raw"))
    assert file.size_bytes == 0, "nothing is done before it is known to be possible"
