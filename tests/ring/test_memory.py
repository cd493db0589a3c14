"""The memory of a ring: sealed, and cut into parts that do not overlap."""

import os
from collections.abc import Iterator

import pytest

from tgtcore.errors import RingError
from tgtcore.ring import Geometry
from tgtcore.ring.memory import Memory, create, read_geometry

GEOMETRY = Geometry(depth=4, data_bytes=5000, events=2, event_bytes=100)
HEADER = GEOMETRY.header(features=0, core_pid=1, driver_pid=2, driver_uid=3, instance=bytes(16), driver="d")


@pytest.fixture
def memory_fd() -> Iterator[int]:
    fd = create(GEOMETRY, HEADER)
    yield fd
    os.close(fd)


def test_the_parts_are_where_the_geometry_says(memory_fd: int) -> None:
    memory = Memory(memory_fd, GEOMETRY)
    parts = {
        "requests": GEOMETRY.request_offset,
        "responses": GEOMETRY.response_offset,
        "events": GEOMETRY.event_offset,
        "data": GEOMETRY.data_offset,
    }
    assert len(memory.requests) == GEOMETRY.response_offset - GEOMETRY.request_offset
    assert len(memory.responses) == GEOMETRY.event_offset - GEOMETRY.response_offset
    assert len(memory.events) == GEOMETRY.data_offset - GEOMETRY.event_offset
    for number, (name, offset) in enumerate(parts.items(), 1):
        part = getattr(memory, name)
        part[0] = part[-1] = number
        assert os.pread(memory_fd, 1, offset) == os.pread(memory_fd, 1, offset + len(part) - 1) == bytes([number])
    assert len(memory.data) == GEOMETRY.data_bytes
    assert os.pread(memory_fd, len(HEADER), 0) == HEADER


def test_it_stays_mapped_for_as_long_as_a_part_is_used(memory_fd: int) -> None:
    data = Memory(memory_fd, GEOMETRY).data
    os.pwrite(memory_fd, b"later", GEOMETRY.data_offset)
    assert data[:5] == b"later"


@pytest.mark.parametrize("size", [0, GEOMETRY.total_bytes - 1, GEOMETRY.total_bytes + 1])
def test_nobody_can_change_its_size(memory_fd: int, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(memory_fd, size)


def test_it_is_read_before_it_is_mapped(memory_fd: int) -> None:
    assert read_geometry(memory_fd) == GEOMETRY


def test_one_that_is_shorter_than_it_says_is_not_mapped() -> None:
    fd = os.memfd_create("short")
    try:
        os.pwrite(fd, HEADER, 0)
        with pytest.raises(RingError, match="shorter than its header says"):
            read_geometry(fd)
        os.ftruncate(fd, 10)
        with pytest.raises(RingError):
            read_geometry(fd)
    finally:
        os.close(fd)
