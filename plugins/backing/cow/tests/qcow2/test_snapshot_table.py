import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2 import snapshot_table
from tgtcore_cow.qcow2.errors import Corrupt, ImageError, printable
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.snapshot_table import Snapshot

from tgtcore.testing.ram import RamStore

AT = 1 << 16
PLAIN = Snapshot("1", "before", 1_700_000_000_123_456_789, 1 << 20, 2 << 16, 1)
TEXTS = st.binary(max_size=40).map(lambda text: text.decode("utf-8", "surrogateescape"))
SNAPSHOTS = st.builds(
    Snapshot,
    id=TEXTS,
    name=TEXTS,
    created_ns=st.integers(0, (1 << 32) * 10**9 - 1),
    size_bytes=st.integers(0, 8 << 29),
    l1_offset=st.integers(0, (1 << 40) - 1).map(lambda number: number << 16),
    l1_entries=st.integers(8, 4 << 20),
    machine_clock_ns=st.integers(0, (1 << 64) - 1),
    machine_state_bytes=st.integers(0, (1 << 64) - 1),
    unknown=st.binary(max_size=100),
)


def _header(count: int = 1) -> Header:
    return Header(
        version=3,
        cluster_bits=16,
        size_bytes=1 << 20,
        l1_entries=1,
        l1_offset=3 << 16,
        refcount_table_offset=4 << 16,
        refcount_table_clusters=1,
        snapshots=count,
        snapshots_offset=AT,
    )


def _file(table: bytes) -> RamStore:
    file = RamStore(AT + len(table))
    file.write(AT, table)
    return file


def _entry(**fields: int) -> bytes:
    """An entry as the specification has it, without extra data."""
    names = {"offset": 2 << 16, "entries": 1, "id": 1, "name": 1, "s": 1, "ns": 2, "clock": 3, "state": 4, "extra": 0}
    return struct.pack(">QIHHIIQII", *{**names, **fields}.values()) + b"7n".ljust(1024, b"\0")


@given(st.lists(SNAPSHOTS, max_size=5).map(tuple))
def test_what_a_table_says_survives(snapshots: tuple[Snapshot, ...]) -> None:
    table = snapshot_table.encode(snapshots)
    assert len(table) % 8 == 0
    assert snapshot_table.read(_file(table), _header(len(snapshots))) == (snapshots, len(table))


def test_entries_may_be_as_long_as_they_can_be() -> None:
    long = replace(PLAIN, id="i" * 65535, name="n" * 65535, unknown=b"u" * 1008)
    snapshots = (long,) * 9
    table = snapshot_table.encode(snapshots)
    assert snapshot_table.read(_file(table), _header(9)) == (snapshots, len(table))


def test_the_bytes_are_those_of_the_specification() -> None:
    encoded = PLAIN.encode()
    assert struct.unpack_from(">QIHHIIQII", encoded) == (2 << 16, 1, 1, 6, 1_700_000_000, 123_456_789, 0, 0, 24)
    assert struct.unpack_from(">QQq", encoded, 40) == (0, 1 << 20, -1)
    assert encoded[64:] == b"1before\0"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (b"", (4, 1 << 20, b"")),
        (struct.pack(">Q", 1 << 40), (1 << 40, 1 << 20, b"")),
        (struct.pack(">QQ", 1 << 40, 512), (1 << 40, 512, b"")),
        (struct.pack(">QQQ", 5, 512, 6), (5, 512, bytes(7) + b"\6")),
    ],
)
def test_entries_of_older_programs_say_less(extra: bytes, expected: tuple[int, int, bytes]) -> None:
    entry = _entry(extra=len(extra))
    (snapshot,), _ = snapshot_table.read(_file(entry[:40] + extra + entry[40:]), _header())
    assert (snapshot.machine_state_bytes, snapshot.size_bytes, snapshot.unknown) == expected
    assert (snapshot.id, snapshot.name, snapshot.created_ns, snapshot.machine_clock_ns) == ("7", "n", 10**9 + 2, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extra": 1025}, "a snapshot has 1025 bytes of extra data, expected at most 1024"),
        ({"entries": (4 << 20) + 1}, "a snapshot's L1 table has 4194305 entries at 0x20000, which can't be"),
        ({"offset": 1}, "a snapshot's L1 table has 1 entries at 0x1, which can't be"),
        ({"offset": 512}, "entries at 0x200, which can't be"),
        ({"offset": 1 << 60}, "entries at 0x1000000000000000, which can't be"),
        ({"entries": 0}, "a snapshot of 1048576 bytes has an L1 table of 0 entries, which is too short"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(fields: dict[str, int], message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        snapshot_table.read(_file(_entry(**fields)), _header())


def test_a_table_that_ends_early_is_damaged() -> None:
    with pytest.raises(Corrupt, match="the snapshot table ends after 2 entries, expected 65536"):
        snapshot_table.read(_file(PLAIN.encode() * 2), _header(65536))


def test_a_table_of_more_than_64_mib_is_damaged() -> None:
    long = replace(PLAIN, id="i" * 65535, name="n" * 65535)
    count = (64 << 20) // len(long.encode()) + 2
    with pytest.raises(Corrupt, match=f"the snapshot table ends after {count - 1} entries, expected {count + 9}"):
        snapshot_table.read(_file(long.encode() * (count + 9)), _header(count + 9))


@given(data=st.binary(max_size=400), count=st.integers(0, 65536))
def test_hostile_bytes_are_a_table_or_an_error(data: bytes, count: int) -> None:
    _tried(_file(data), count)


@given(damage=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=6))
def test_damaged_bytes_are_a_table_or_an_error(damage: list[tuple[int, int]]) -> None:
    table = bytearray(PLAIN.encode())
    for place, value in damage:
        table[place] = value
    _tried(_file(bytes(table)), 1)


def _tried(file: RamStore, count: int) -> None:
    try:
        snapshots, length = snapshot_table.read(file, _header(count))
    except ImageError as error:
        assert str(error) == printable(str(error))
    else:
        assert len(snapshots) == count
        assert 40 * count <= length


def test_what_is_too_large_for_its_field_is_cut_and_told_in_full_beside_it() -> None:
    keys: dict[str, Any] = {"machine_state_bytes": 1 << 40}
    encoded = replace(PLAIN, **keys).encode()
    assert struct.unpack_from(">I", encoded, 32) == (0xFFFF_FFFF,)
    assert struct.unpack_from(">Q", encoded, 40) == (1 << 40,)
