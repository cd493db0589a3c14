"""Making new, empty qcow2 images."""

import struct
from array import array
from collections.abc import Iterator
from enum import IntFlag
from typing import NamedTuple

from tgtcore import Buffer, Features, Store
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import MAGIC, Autoclear, Compatible, ExtensionType, Header, Incompatible, feature_names
from tgtcore_cow.qcow2.layout import Layout
from tgtcore_cow.qcow2.refcount_codec import TYPECODES, pack

_ZEROES = memoryview(bytes(1 << 20))


class _Clusters(NamedTuple):
    """How many clusters each part takes, in the order in which they stand in the file."""

    header: int
    table: int
    blocks: int
    l1: int


def create(file: Store, options: CreateOptions, data_file: Store | None = None) -> Header:
    """Make an image; what the file had is gone.

    Until all of it is durable it does not begin as an image does: a crash leaves none, or a whole one.

    :param file: takes the image; made as short as that is, if it can be resized.
    :param data_file: the file that ``options.data_file`` names; emptied and made as long as the disk.
    :returns: what its header says.
    :raises ImageError: there can't be such an image, or the file is too small for it.
    """
    options.check()
    if bool(options.data_file) != (data_file is not None):
        raise ImageError("an external data file needs both a name and a file")
    header, clusters = _laid_out(options)
    encoded = header.encode()
    sizes = header.layout
    if sizes.cluster_bytes % file.block_bytes:
        raise ImageError(
            f"clusters of {sizes.cluster_bytes} bytes are smaller than a block of {file.block_bytes} bytes"
        )
    _empty("image", file, sum(clusters) * sizes.cluster_bytes)
    if data_file is not None:
        _empty("external data file", data_file, options.size_bytes)
    _write_tables(file, header, clusters)
    _write(file, 0, bytes(len(MAGIC)) + encoded[len(MAGIC) :])
    file.flush()
    _write(file, 0, encoded[: max(len(MAGIC), file.block_bytes)])
    file.flush()
    return header


# ---- what it says ---------------------------------------------------------------------------------------------------


def _laid_out(options: CreateOptions) -> tuple[Header, _Clusters]:
    sizes = options.layout
    l1_entries = sizes.l1_entries(options.size_bytes)
    clusters = _clusters(sizes, l1_entries)
    header = Header(
        version=options.version,
        cluster_bits=sizes.cluster_bits,
        size_bytes=options.size_bytes,
        l1_entries=l1_entries,
        l1_offset=sum(clusters[:3]) * sizes.cluster_bytes if l1_entries else 0,
        refcount_table_offset=clusters.header * sizes.cluster_bytes,
        refcount_table_clusters=clusters.table,
        refcount_order=sizes.refcount_order,
        incompatible=_bits(
            {
                Incompatible.DATA_FILE: bool(options.data_file),
                Incompatible.COMPRESSION: options.compression != "zlib",
                Incompatible.EXTENDED_L2: options.extended_l2,
            }
        ),
        compatible=_bits({Compatible.LAZY_REFCOUNTS: options.lazy_refcounts}),
        autoclear=_bits({Autoclear.DATA_FILE_RAW: options.data_file_raw}),
        backing_file=options.backing_file,
        compression=options.compression,
        extensions=tuple(_extensions(options)),
    )
    return header, clusters


def _clusters(sizes: Layout, l1_entries: int) -> _Clusters:
    """Reference counts count their own clusters too: their number grows until it is enough."""
    clusters = _Clusters(1, 1, 1, sizes.clusters(l1_entries * 8))
    while True:
        blocks = -(-sum(clusters) // sizes.refcounts_per_block)
        enough = clusters._replace(table=sizes.clusters(blocks * 8), blocks=blocks)
        if enough == clusters:
            return clusters
        clusters = enough


def _bits(wanted: dict[IntFlag, bool]) -> int:
    return sum(bit for bit, wants in wanted.items() if wants)


def _extensions(options: CreateOptions) -> Iterator[tuple[int, bytes]]:
    if options.backing_file:
        yield ExtensionType.BACKING_FORMAT, options.backing_format.encode()
    if options.data_file:
        yield ExtensionType.DATA_FILE, options.data_file.encode("utf-8", "surrogateescape")
    if options.names_features:
        yield ExtensionType.FEATURE_NAMES, feature_names()


def _refcount_table(sizes: Layout, clusters: _Clusters) -> bytes:
    first = clusters.header + clusters.table
    return struct.pack(
        f">{clusters.blocks}Q", *(at * sizes.cluster_bytes for at in range(first, first + clusters.blocks))
    )


def _reference_counts(sizes: Layout, clusters: _Clusters) -> bytes:
    counts = array(TYPECODES[sizes.refcount_order], [1]) * sum(clusters)
    counts.extend([0] * (-len(counts) % 8))  # the narrowest share a byte
    return pack(counts, sizes.refcount_order)


# ---- how it gets there ----------------------------------------------------------------------------------------------


def _empty(what: str, file: Store, length: int) -> None:
    """Let the file have ``length`` bytes, all zero, at its beginning, durably: nothing that was there shows up again."""
    if length % file.block_bytes:
        raise ImageError(f"the {what} needs {length} bytes, which are not whole blocks of {file.block_bytes} bytes")
    if Features.RESIZE in file.features():
        file.resize(0)
        file.resize(length)
    elif file.size_bytes < length:
        raise ImageError(f"the {what} needs {length} bytes; its file has {file.size_bytes} and can't grow")
    else:
        for offset in range(0, length, len(_ZEROES)):
            file.write(offset, _ZEROES[: length - offset])
    file.flush()


def _write_tables(file: Store, header: Header, clusters: _Clusters) -> None:
    """The tables, and the zeroes in them: they are to take their space now, so that it can't be missing when they change."""
    sizes = header.layout
    table, blocks = clusters.table * sizes.cluster_bytes, clusters.blocks * sizes.cluster_bytes
    _write(file, header.refcount_table_offset, _refcount_table(sizes, clusters).ljust(table, b"\0"))
    _write(file, header.refcount_table_offset + table, _reference_counts(sizes, clusters).ljust(blocks, b"\0"))
    if header.l1_entries:
        _write(file, header.l1_offset, bytes(header.l1_entries * 8))


def _write(file: Store, offset: int, data: Buffer) -> None:
    """Whole blocks of the file; what follows there is zero anyway."""
    file.write(offset, bytes(data).ljust(-(-len(data) // file.block_bytes) * file.block_bytes, b"\0"))
