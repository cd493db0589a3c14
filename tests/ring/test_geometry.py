"""Where everything is in the memory of a ring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.errors import RingError
from tgtcore.ring import Geometry
from tgtcore.ring.geometry import HEADER, PAGE_BYTES
from tgtcore.ring.messages import REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES

NUMBERS = st.integers(1, 5000)
GEOMETRIES = st.builds(Geometry, depth=NUMBERS, data_bytes=NUMBERS, events=NUMBERS, event_bytes=NUMBERS)


def page(geometry: Geometry, **changed: int | bytes) -> bytes:
    header = bytearray(
        geometry.header(features=0, core_pid=1, driver_pid=2, driver_uid=3, instance=bytes(16), driver="d" * 99)
    )
    values = dict(zip((field.name for field in HEADER.fields), HEADER.unpack_from(header, 0), strict=True))
    HEADER.pack_into(header, 0, *(values | changed).values())
    return bytes(header)


@given(geometry=GEOMETRIES)
def test_the_parts_follow_each_other_on_pages_of_their_own(geometry: Geometry) -> None:
    parts = (
        (geometry.request_offset, geometry.slots * REQUEST_SLOT_BYTES),
        (geometry.response_offset, geometry.slots * RESPONSE_SLOT_BYTES),
        (geometry.event_offset, geometry.events * geometry.event_bytes),
        (geometry.data_offset, geometry.data_bytes),
    )
    end = PAGE_BYTES
    for offset, size in parts:
        assert offset % PAGE_BYTES == 0
        assert end <= offset < end + PAGE_BYTES
        end = offset + size
    assert end <= geometry.total_bytes < end + PAGE_BYTES
    assert geometry.total_bytes % PAGE_BYTES == 0


@given(geometry=GEOMETRIES)
def test_a_side_within_its_limits_never_finds_a_ring_full(geometry: Geometry) -> None:
    assert geometry.slots == 2 * geometry.depth + geometry.events


@given(geometry=GEOMETRIES)
def test_the_header_says_it_all(geometry: Geometry) -> None:
    header = page(geometry)
    assert len(header) == PAGE_BYTES
    assert Geometry.read(header) == geometry


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"magic": b"TGTRINGS"}, "this is no ring of version 1"),
        ({"abi_version": 2}, "this is no ring of version 1"),
        ({"request_offset": 0}, "not where they were expected"),
        ({"response_offset": 1 << 40}, "not where they were expected"),
        ({"event_offset": 1}, "not where they were expected"),
        ({"data_offset": 2**64 - 1}, "not where they were expected"),
        ({"depth": 2**32 - 1}, "not where they were expected"),
        ({"events": 0}, "not where they were expected"),
    ],
)
def test_a_header_that_is_none_or_made_otherwise_is_refused(changed: dict[str, int | bytes], wrong: str) -> None:
    with pytest.raises(RingError, match=wrong):
        Geometry.read(page(Geometry(), **changed))
