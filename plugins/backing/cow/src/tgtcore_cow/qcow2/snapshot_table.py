"""The table of internal snapshots: from bytes, and to bytes."""

import struct
from dataclasses import dataclass

from tgtcore import Store
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.layout import L1_BYTES_MAX, OFFSET, SNAPSHOT_TABLE_BYTES_MAX
from tgtcore_cow.qcow2.places import read_padded

_ENTRY = struct.Struct(">QIHHIIQII")
_EXTRA = struct.Struct(">QQ")
_NO_INSTRUCTION_COUNT = b"\xff" * 8
_EXTRA_BYTES_MAX = 1024
_ENTRY_BYTES_MAX = _ENTRY.size + _EXTRA_BYTES_MAX + 2 * 65535 + 8


@dataclass(frozen=True)
class Snapshot:
    """An internal snapshot of a disk.

    :param id: a short text that no other snapshot of the image has; of our own ones a number.
    :param name: what its maker called it.
    :param created_ns: when it was made, in nanoseconds since 1970 (UTC).
    :param size_bytes: size of the disk then.
    :param l1_offset: place of its L1 table in the file.
    :param l1_entries: how many entries that has.
    :param machine_clock_ns: how long the machine whose disk it was had run.
    :param machine_state_bytes: length of the machine's saved state, which lies behind the disk; 0 for none.
    :param unknown: what a later version has put behind the fields that we know.
    """

    id: str
    name: str
    created_ns: int
    size_bytes: int
    l1_offset: int
    l1_entries: int
    machine_clock_ns: int = 0
    machine_state_bytes: int = 0
    unknown: bytes = _NO_INSTRUCTION_COUNT

    def encode(self) -> bytes:
        """Its entry of the table, padded."""
        extra = _EXTRA.pack(self.machine_state_bytes, self.size_bytes) + self.unknown
        identity, name = _encoded(self.id), _encoded(self.name)
        seconds, nanoseconds = divmod(self.created_ns, 10**9)
        entry = _ENTRY.pack(
            self.l1_offset,
            self.l1_entries,
            len(identity),
            len(name),
            seconds & 0xFFFF_FFFF,
            nanoseconds,
            self.machine_clock_ns,
            min(self.machine_state_bytes, 0xFFFF_FFFF),
            len(extra),
        )
        return _padded(entry + extra + identity + name)


def encode(snapshots: tuple[Snapshot, ...]) -> bytes:
    """The whole table."""
    return b"".join(snapshot.encode() for snapshot in snapshots)


def read(file: Store, header: Header) -> tuple[tuple[Snapshot, ...], int]:
    """The snapshots of an image, and how many bytes their table has.

    :raises Corrupt: it is not what such a table can be.
    """
    found: list[Snapshot] = []
    start = position = header.snapshots_offset
    window, at = b"", 0
    for _ in range(header.snapshots):
        if position - start > SNAPSHOT_TABLE_BYTES_MAX or position >= file.size_bytes:
            raise Corrupt(f"the snapshot table ends after {len(found)} entries, expected {header.snapshots}")
        if position + _ENTRY_BYTES_MAX > at + len(window):
            window, at = bytes(read_padded(file, position, 4 * _ENTRY_BYTES_MAX)), position
        snapshot, length = _decode(window, position - at, header)
        found.append(snapshot)
        position += length
    return tuple(found), position - start


def _decode(table: bytes, start: int, header: Header) -> tuple[Snapshot, int]:
    values = _ENTRY.unpack_from(table, start)
    l1_offset, l1_entries, id_bytes, name_bytes, seconds, nanoseconds, clock, state_bytes, extra_bytes = values
    if extra_bytes > _EXTRA_BYTES_MAX:
        raise Corrupt(f"a snapshot has {extra_bytes} bytes of extra data, expected at most {_EXTRA_BYTES_MAX}")
    if l1_entries * 8 > L1_BYTES_MAX or l1_offset & ~OFFSET or l1_offset % header.layout.cluster_bytes:
        raise Corrupt(f"a snapshot's L1 table has {l1_entries} entries at {l1_offset:#x}, which can't be")
    position = start + _ENTRY.size
    extra = table[position : position + extra_bytes]
    size_bytes, unknown = header.size_bytes, b""
    if len(extra) >= 8:
        state_bytes = int.from_bytes(extra[:8], "big")
    if len(extra) >= _EXTRA.size:
        size_bytes = int.from_bytes(extra[8:16], "big")
        unknown = extra[_EXTRA.size :]
    if header.layout.l1_entries(size_bytes) > l1_entries:
        raise Corrupt(f"a snapshot of {size_bytes} bytes has an L1 table of {l1_entries} entries, which is too short")
    position += extra_bytes
    identity = table[position : position + id_bytes]
    name = table[position + id_bytes : position + id_bytes + name_bytes]
    length = len(_padded(table[start : position + id_bytes + name_bytes]))
    snapshot = Snapshot(
        id=_decoded(identity),
        name=_decoded(name),
        created_ns=seconds * 10**9 + nanoseconds,
        size_bytes=size_bytes,
        l1_offset=l1_offset,
        l1_entries=l1_entries,
        machine_clock_ns=clock,
        machine_state_bytes=state_bytes,
        unknown=unknown,
    )
    return snapshot, length


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _padded(entry: bytes) -> bytes:
    return entry.ljust(-(-len(entry) // 8) * 8, b"\0")
