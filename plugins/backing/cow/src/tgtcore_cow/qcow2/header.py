"""The header of a qcow2 image, and its extensions: from bytes, and to bytes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntFlag

from tgtcore_cow.qcow2 import layout
from tgtcore_cow.qcow2.errors import Corrupt, ImageError
from tgtcore_cow.qcow2.layout import Layout

MAGIC = b"QFI\xfb"
_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_V3_BYTES = _V2.size + _V3.size
_COMPRESSION_AT = _V3_BYTES
_BACKING_NAME_AT = 8
BACKING_NAME_BYTES_MAX = 1023
_SIZE_BYTES_MAX = (1 << 63) - 512


class Incompatible(IntFlag):
    """Who does not know one of these must not open the image."""

    DIRTY = 1 << 0
    CORRUPT = 1 << 1
    DATA_FILE = 1 << 2
    COMPRESSION = 1 << 3
    EXTENDED_L2 = 1 << 4


class Compatible(IntFlag):
    """Who does not know one of these may ignore it."""

    LAZY_REFCOUNTS = 1 << 0


class Autoclear(IntFlag):
    """Who writes and does not know one of these clears it."""

    BITMAPS = 1 << 0
    DATA_FILE_RAW = 1 << 1


class ExtensionType:
    """Numbers of header extensions."""

    END = 0
    BACKING_FORMAT = 0xE2792ACA
    FEATURE_NAMES = 0x6803F857
    BITMAPS = 0x23852875
    ENCRYPTION = 0x0537BE77
    DATA_FILE = 0x44415441


COMPRESSIONS = ("zlib", "zstd")
_ENCRYPTIONS = {1: "AES", 2: "LUKS"}

_FEATURE_NAMES = (
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
)
"""Kind (incompatible, compatible, autoclear), bit and name: what the table of names of an image that we make says."""


@dataclass(frozen=True)
class Header:
    """What the header says.

    :param size_bytes: size of the disk.
    :param backing_file: name of the image beneath, as it stands in the header; empty for none.
    :param extensions: number and content of each extension that is kept as it is, in order; unknown ones too.
    :param compression: how compressed clusters are, one of COMPRESSIONS.
    """

    version: int
    cluster_bits: int
    size_bytes: int
    l1_entries: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    refcount_order: int = 4
    snapshots: int = 0
    snapshots_offset: int = 0
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    backing_file: str = ""
    compression: str = COMPRESSIONS[0]
    extensions: tuple[tuple[int, bytes], ...] = field(default=())
    unknown_fields: bytes = b""
    """What a later version has put behind the fields that we know."""

    @property
    def layout(self) -> Layout:
        """The sizes that follow."""
        return Layout(self.cluster_bits, self.refcount_order, self.extended_l2)

    @property
    def extended_l2(self) -> bool:
        """Whether entries of L2 tables tell about subclusters."""
        return bool(self.incompatible & Incompatible.EXTENDED_L2)

    @property
    def has_data_file(self) -> bool:
        """Whether the disk's bytes are in a file of their own."""
        return bool(self.incompatible & Incompatible.DATA_FILE)

    @property
    def lazy_refcounts(self) -> bool:
        """Whether programs may leave reference counts behind while they write."""
        return bool(self.compatible & Compatible.LAZY_REFCOUNTS)

    @property
    def data_file_is_raw(self) -> bool:
        """Whether that file is a raw image of the disk at any time."""
        return self.has_data_file and bool(self.autoclear & Autoclear.DATA_FILE_RAW)

    @property
    def backing_format(self) -> str:
        """The format of the image beneath; empty where the header does not say."""
        return self._text(ExtensionType.BACKING_FORMAT)

    @property
    def data_file(self) -> str:
        """Name of the external data file, as it stands in the header."""
        return self._text(ExtensionType.DATA_FILE)

    def extension(self, number: int) -> bytes | None:
        """The content of an extension; None: there is none."""
        return dict(reversed(self.extensions)).get(number)

    def _text(self, number: int) -> str:
        return (self.extension(number) or b"").decode("utf-8", "surrogateescape")

    def with_extension(self, number: int, content: bytes | None) -> "Header":
        """The header with another content of an extension, or without it."""
        rest = [one for one in self.extensions if one[0] != number]
        if content is not None:
            rest.insert(0, (number, content))
        return replace(self, extensions=tuple(rest))

    def written_by_us(self) -> "Header":
        """As it must be before anything of the image changes: what we don't keep up is not claimed any more."""
        return replace(self, autoclear=self.autoclear & (Autoclear.BITMAPS | Autoclear.DATA_FILE_RAW))

    def patched(self, sector: bytes) -> bytes:
        """The first sector of a header with the numbers of this one; whatever else is in it stays.

        It is written whole or not at all, so it takes an image from one state to another.
        """
        fixed = bytearray(self._fixed(*struct.unpack_from(">QI", sector, _BACKING_NAME_AT))[:_V3_BYTES])
        if self.version == 3:
            fixed[-4:] = sector[_V3_BYTES - 4 : _V3_BYTES]
        return bytes(fixed) + sector[len(fixed) :]

    # ---- to bytes ---------------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """The header's cluster as far as it is used: fixed fields, extensions, name of the backing file.

        :raises ImageError: it does not fit into a cluster.
        """
        fixed_bytes = self._fixed_bytes()
        extensions = b"".join(_extension(*one) for one in self.extensions)
        extensions += _extension(ExtensionType.END, b"")
        name = self.backing_file.encode("utf-8", "surrogateescape")
        if len(name) > BACKING_NAME_BYTES_MAX:
            raise ImageError(
                f"the name of the backing file has {len(name)} bytes, expected at most {BACKING_NAME_BYTES_MAX}"
            )
        name_offset = fixed_bytes + len(extensions) if name else 0
        encoded = self._fixed(name_offset, len(name)) + extensions + name
        if len(encoded) > 1 << self.cluster_bits:
            raise ImageError(
                f"the header has {len(encoded)} bytes with its extensions and the name of the backing file, expected at most "
                f"one cluster of {1 << self.cluster_bits}: a shorter name, or larger clusters"
            )
        return encoded

    def bridge(self, name_offset: int) -> bytes:
        """The same without the names of features, which nobody needs, and with the name of the backing file somewhere else."""
        name_bytes = len(self.backing_file.encode("utf-8", "surrogateescape"))
        needed = [_extension(*one) for one in self.extensions if one[0] != ExtensionType.FEATURE_NAMES]
        fixed = self._fixed(name_offset if name_bytes else 0, name_bytes)
        return fixed + b"".join(needed) + _extension(ExtensionType.END, b"")

    def _fixed_bytes(self) -> int:
        if self.version == 2:
            return _V2.size
        # one byte of compression type and seven of padding belong to every header of version 3 that we write
        return _V3_BYTES + 8 + len(self.unknown_fields)

    def _fixed(self, name_offset: int, name_bytes: int) -> bytes:
        encoded = _V2.pack(
            MAGIC,
            self.version,
            name_offset,
            name_bytes,
            self.cluster_bits,
            self.size_bytes,
            0,
            self.l1_entries,
            self.l1_offset,
            self.refcount_table_offset,
            self.refcount_table_clusters,
            self.snapshots,
            self.snapshots_offset,
        )
        if self.version == 2:
            return encoded
        fixed_bytes = self._fixed_bytes()
        encoded += _V3.pack(self.incompatible, self.compatible, self.autoclear, self.refcount_order, fixed_bytes)
        return encoded + bytes([COMPRESSIONS.index(self.compression)]).ljust(8, b"\0") + self.unknown_fields


def _extension(number: int, content: bytes) -> bytes:
    padded = content.ljust(-(-len(content) // 8) * 8, b"\0")
    return struct.pack(">II", number, len(content)) + padded


def feature_names() -> bytes:
    """The content of the extension that names feature bits for programs that don't know them."""
    return b"".join(struct.pack(">BB46s", kind, bit, name.encode()) for kind, bit, name in _FEATURE_NAMES)


# ---- from bytes -----------------------------------------------------------------------------------------------------


def decode(cluster: bytes) -> Header:
    """What a header says.

    :param cluster: the first cluster of the image, or the first 2 MiB of the file.
    :raises ImageError: it is no header, or the image needs what is not supported.
    """
    if cluster[:4] != MAGIC:
        raise ImageError(f"this is no qcow2 image: it begins with {cluster[:4]!r}, expected {MAGIC!r}")
    if len(cluster) < _V2.size:
        raise ImageError(f"the header ends after {len(cluster)} bytes, expected at least {_V2.size}")
    version = int.from_bytes(cluster[4:8], "big")
    if version not in (2, 3):
        raise ImageError(f"version {version} of the format is not supported; expected 2 or 3")
    values = _V2.unpack_from(cluster)
    _, _, name_offset, name_bytes, cluster_bits, size_bytes, encryption, *_ = values
    if not layout.CLUSTER_BITS_MIN <= cluster_bits <= layout.CLUSTER_BITS_MAX:
        raise ImageError(
            f"clusters of 2 to the {cluster_bits} bytes are not supported; expected an exponent of "
            f"{layout.CLUSTER_BITS_MIN} to {layout.CLUSTER_BITS_MAX}"
        )
    cluster = cluster[: 1 << cluster_bits]
    fixed_bytes = _V2.size
    more: dict[str, object] = {}
    if version == 3:
        fixed_bytes, more = _decode_v3(cluster)
    header = Header(
        version=version,
        cluster_bits=cluster_bits,
        size_bytes=size_bytes,
        l1_entries=values[7],
        l1_offset=values[8],
        refcount_table_offset=values[9],
        refcount_table_clusters=values[10],
        snapshots=values[11],
        snapshots_offset=values[12],
        **more,  # type: ignore[arg-type]
    )
    end = name_offset if name_offset else len(cluster)
    header = replace(
        header,
        extensions=tuple(_extensions(cluster, fixed_bytes, min(end, len(cluster)))),
        backing_file=_backing_name(cluster, name_offset, name_bytes),
    )
    _refuse_unknown(header)
    if encryption:
        raise ImageError(
            f"the image is encrypted ({_ENCRYPTIONS.get(encryption, f'method {encryption}')}), which is not supported; "
            "convert it to one that is not"
        )
    _check_geometry(header)
    return header


def _decode_v3(cluster: bytes) -> tuple[int, dict[str, object]]:
    if len(cluster) < _V3_BYTES:
        raise ImageError(f"the header ends after {len(cluster)} bytes, expected at least {_V3_BYTES}")
    incompatible, compatible, autoclear, refcount_order, fixed_bytes = _V3.unpack_from(cluster, _V2.size)
    if not _V3_BYTES <= fixed_bytes <= len(cluster):
        raise Corrupt(f"the header claims {fixed_bytes} bytes, expected {_V3_BYTES} to {len(cluster)}")
    compression = cluster[_COMPRESSION_AT] if fixed_bytes > _COMPRESSION_AT else 0
    if compression >= len(COMPRESSIONS):
        raise ImageError(f"compression type {compression} is not supported; expected {' or '.join(COMPRESSIONS)}")
    if bool(compression) != bool(incompatible & Incompatible.COMPRESSION):
        raise Corrupt(f"compression type {compression} contradicts the incompatible feature bits {incompatible:#x}")
    return fixed_bytes, {
        "incompatible": incompatible,
        "compatible": compatible,
        "autoclear": autoclear,
        "refcount_order": refcount_order,
        "compression": COMPRESSIONS[compression],
        "unknown_fields": bytes(cluster[_COMPRESSION_AT + 8 : fixed_bytes]),
    }


def _extensions(cluster: bytes, position: int, end: int) -> Iterator[tuple[int, bytes]]:
    while position + 8 <= end:
        number, length = struct.unpack_from(">II", cluster, position)
        position += 8
        if number == ExtensionType.END:
            return
        if length > end - position:
            raise Corrupt(
                f"header extension {number:#010x} has {length} bytes, but only {end - position} are left for it"
            )
        yield number, bytes(cluster[position : position + length])
        position += -(-length // 8) * 8


def _backing_name(cluster: bytes, offset: int, length: int) -> str:
    if not offset:
        return ""
    if length > BACKING_NAME_BYTES_MAX or offset + length > len(cluster):
        raise Corrupt(
            f"the name of the backing file has {length} bytes at {offset}, expected at most {BACKING_NAME_BYTES_MAX} within the "
            f"first cluster of {len(cluster)} bytes"
        )
    return bytes(cluster[offset : offset + length]).decode("utf-8", "surrogateescape")


def _refuse_unknown(header: Header) -> None:
    unknown = header.incompatible & ~sum(Incompatible)
    if not unknown:
        return
    told = _names_told(header.extension(ExtensionType.FEATURE_NAMES) or b"")
    names = [told.get((0, bit), f"bit {bit}") for bit in range(64) if unknown >> bit & 1]
    raise ImageError(f"the image needs features that are not supported: {', '.join(names)}")


def _names_told(table: bytes) -> dict[tuple[int, int], str]:
    names = {}
    for position in range(0, len(table) - 47, 48):
        kind, bit, name = struct.unpack_from(">BB46s", table, position)
        text = name.rstrip(b"\0").decode("utf-8", "replace")
        names[kind, bit] = "".join(one if one.isprintable() else "?" for one in text) or f"bit {bit}"
    return names


def _check_geometry(header: Header) -> None:
    """The places of the tables must be possible; what is there is checked when it is read."""
    sizes = header.layout
    if header.refcount_order > layout.REFCOUNT_ORDER_MAX:
        raise ImageError(f"reference counts of 2 to the {header.refcount_order} bits, expected at most 64 bits")
    if header.extended_l2 and header.cluster_bits < layout.EXTENDED_CLUSTER_BITS_MIN:
        raise Corrupt(f"clusters of {sizes.cluster_bytes} bytes are too small to have subclusters")
    if header.autoclear & Autoclear.DATA_FILE_RAW and not header.has_data_file:
        raise Corrupt("the header says that the data file is a raw image, but there is no data file")
    if header.size_bytes > _SIZE_BYTES_MAX:
        raise Corrupt(f"the disk has {header.size_bytes} bytes, expected at most {_SIZE_BYTES_MAX}")
    if header.l1_entries * 8 > layout.L1_BYTES_MAX:
        raise ImageError(f"the L1 table has {header.l1_entries} entries, expected at most {layout.L1_BYTES_MAX // 8}")
    if header.l1_entries < sizes.l1_entries(header.size_bytes):
        raise Corrupt(
            f"the L1 table has {header.l1_entries} entries, expected at least {sizes.l1_entries(header.size_bytes)} "
            f"for {header.size_bytes} bytes"
        )
    if not header.refcount_table_clusters:
        raise Corrupt("there is no refcount table")
    if header.refcount_table_clusters << header.cluster_bits > max(
        layout.REFCOUNT_TABLE_BYTES_MAX, sizes.cluster_bytes
    ):
        raise ImageError(f"the refcount table has {header.refcount_table_clusters} clusters, expected at most 8 MiB")
    if header.snapshots > layout.SNAPSHOTS_MAX:
        raise ImageError(f"there are {header.snapshots} snapshots, expected at most {layout.SNAPSHOTS_MAX}")
    places = {
        "L1 table": (header.l1_offset, header.l1_entries),
        "refcount table": (header.refcount_table_offset, header.refcount_table_clusters),
        "snapshot table": (header.snapshots_offset, header.snapshots),
    }
    for what, (offset, count) in places.items():
        if count and (offset < sizes.cluster_bytes or offset % sizes.cluster_bytes or offset >> 56):
            raise Corrupt(f"the {what} is at {offset}, expected a multiple of {sizes.cluster_bytes} after the header")
