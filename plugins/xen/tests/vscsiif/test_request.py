"""Requests: their bytes, what is refused, and that nothing else is raised whatever a guest has written."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import SEGMENTS, SLOT_BYTES, Act, Direction
from tgtcore_xen.vscsiif.request import Request, rqid_of, without_lun
from tgtcore_xen.vscsiif.segments import Segment, WholePages, build_segments, count_indirect, parse_segments

SG = 128
READ_10 = bytes.fromhex("28 00 00 00 12 34 00 00 08 00 00 00 00 00 00 00")
HEADER = "{rqid} {act} {length} {cdb} 00 00 01 00 02 00 03 00 {ref} {direction} {count}"


def slot(count: str, segments: str = "", **fields: str) -> bytes:
    """A request as the table of the protocol gives it: READ (10) of ten bytes for 0:1:2:3 unless other fields are given."""
    known = {"rqid": "05 80", "act": "01", "length": "0a", "cdb": READ_10.hex(), "ref": "00 00", "direction": "02"}
    text = HEADER.format(**{**known, **fields, "count": count}) + segments
    return bytes.fromhex(text).ljust(SLOT_BYTES, b"\0")


ONE = "44 33 22 11 00 02 00 0e"
TWO = ONE + "45 33 22 11 00 00 00 10"
PLAIN = Request(0x8005, Act.COMMAND, 1, 2, 3, READ_10, Direction.FROM_DEVICE)
SAMPLES = {
    "one segment": (slot("01", ONE), PLAIN._replace(segments=((0x11223344, 0x200, 0xE00),), length=0xE00)),
    "two segments": (
        slot("02", TWO),
        PLAIN._replace(segments=[(0x11223344, 0x200, 0xE00), (0x11223345, 0, 0x1000)], length=0x1E00),
    ),
    "indirect": (
        slot("81", "44 33 22 11 10 00 f8 03"),
        PLAIN._replace(segments=((0x11223344, 0x10, 0x3F8),), length=0x3F8, indirect=True),
    ),
    "no data": (slot("00", direction="03"), PLAIN._replace(direction=Direction.NONE)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes(name: str) -> None:
    made, request = SAMPLES[name]
    assert Request.parse(made, SG) == request
    assert request.build(10) == made
    assert rqid_of(made) == 0x8005


def test_what_only_commands_have_is_not_read_of_an_abort() -> None:
    made = slot("ff", act="02", length="ff", direction="09", ref="34 12")
    assert Request.parse(made, SG) == Request(0x8005, Act.ABORT, 1, 2, 3, READ_10, ref_rqid=0x1234)


def test_what_the_cdb_does_not_have_is_zero() -> None:
    made = slot("00", cdb="12 01 83 00 ff 00" + "ee" * 10, length="06", direction="03")
    assert Request.parse(made, SG).cdb == bytes.fromhex("12 01 83 00 ff 00" + "00" * 10)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (slot("00", length="00"), "the length of the CDB is 0, expected 1 to 16 bytes"),
        (slot("00", length="11"), "the length of the CDB is 17, expected 1 to 16 bytes"),
        (slot("00", direction="00"), "the data direction is 0, expected 1 (to the device), 2 (from it) or 3 (no data)"),
        (slot("00", direction="04"), "the data direction is 4, expected 1 (to the device), 2 (from it) or 3 (no data)"),
        (slot("1b", ONE), "the number of segments is 27, expected 26 at most"),
        (slot("9b", ONE), "the number of segments is 27, expected 26 at most"),
        (slot("80"), "the number of indirect segments is 0, expected 1 to 128"),
        (slot("81", "01 00 00 00 00 00 00 00"), "the number of indirect segments is 0, expected 1 to 128"),
        (slot("81", "01 00 00 00 00 00 08 04"), "the number of indirect segments is 129, expected 1 to 128"),
        (
            slot("81", "01 00 00 00 00 00 09 00"),
            "the length of a table of segments is 9, expected a multiple of 8 bytes",
        ),
        (slot("01", "01 00 00 00 01 00 00 10"), "a segment is 4096 bytes at 1, expected an end within its 4096 bytes"),
        (slot("81", "01 00 00 00 01 00 00 10"), "a segment is 4096 bytes at 1, expected an end within its 4096 bytes"),
        (
            slot("02", ONE + "01 00 00 00 ff ff ff ff"),
            "a segment is 65535 bytes at 65535, expected an end within its 4096 bytes",
        ),
    ],
)
def test_malformed(made: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=f"^{re.escape(says)}$"):
        Request.parse(made, SG)


u16 = st.integers(0, 0xFFFF)
segments = st.integers(0, 4096).flatmap(
    lambda length: st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 4096 - length), st.just(length))
)


commands = st.tuples(
    u16, st.just(Act.COMMAND), u16, u16, u16, st.binary(min_size=16, max_size=16), st.integers(1, 3), u16
).map(lambda fields: Request(*fields))


@given(commands, st.lists(segments, max_size=SEGMENTS))
def test_round_trip(command: Request, parts: list[Segment]) -> None:
    kept: list[Segment] | tuple[Segment, ...] = parts if len(parts) > 1 else tuple(parts)
    whole = command._replace(segments=kept, length=sum(length for _, _, length in parts))
    assert Request.parse(whole.build(), SG) == whole


@given(st.binary(min_size=SLOT_BYTES, max_size=SLOT_BYTES), st.sampled_from([0, 1, 2, 3, 26, 0x80, 0x81, 0x9A, 255]))
@example(bytes(SLOT_BYTES), 0)
def test_whatever_a_guest_writes(noise: bytes, count: int) -> None:
    """Half of it looks like a command, so that more than its beginning is read."""
    for made in (noise, noise[:2] + b"\1\x10" + noise[4:30] + bytes((2, count)) + noise[32:]):
        try:
            request = Request.parse(made, SG)
        except Malformed as error:
            assert str(error)
            continue
        assert rqid_of(made) == request.rqid
        assert len(request.cdb) == 16
        assert len(request.segments) <= SEGMENTS
        assert sum(length for _, _, length in request.segments) == request.length
        assert all(offset + length <= 4096 for _, offset, length in request.segments)
        assert not request.indirect or 8 <= request.length <= SG * 8


@given(st.lists(segments, max_size=200))
def test_records_round_trip(parts: list[Segment]) -> None:
    assert parse_segments(memoryview(build_segments(parts))) == (parts, sum(length for _, _, length in parts))


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("segment", [(9, 1, 4095), (9, 256, 3840), (9, 0, 4095), (9, 0, 1), (9, 0, 0)])
def test_one_record_among_those_of_whole_pages(which: int, segment: Segment) -> None:
    whole = [(0x01020304 + number, 0, 4096) for number in range(3)]
    segments, length = parse_segments(build_segments(whole))
    assert isinstance(segments, WholePages)
    assert (segments, length) == (whole, 3 * 4096)
    other = [*whole[:which], segment, *whole[which + 1 :]]
    segments, length = parse_segments(build_segments(other))
    assert not isinstance(segments, WholePages)
    assert (segments, length) == (other, 2 * 4096 + segment[2])


def test_a_record_beyond_its_page() -> None:
    with pytest.raises(Malformed, match="a segment is 1 bytes at 4096, expected an end within its 4096 bytes"):
        parse_segments(build_segments([(1, 0, 4096), (2, 4096, 1)]))


def test_records_in_several_tables() -> None:
    assert count_indirect([(1, 0, 4096), (2, 8, 16)], 1024) == 514
    with pytest.raises(Malformed, match="the number of indirect segments is 514, expected 1 to 513"):
        count_indirect([(1, 0, 4096), (2, 8, 16)], 513)


def test_the_lun_of_scsi_2_is_taken_out_of_a_cdb() -> None:
    cdb = bytes((0x12, 0xFF, *range(14)))
    assert without_lun(cdb) == bytes((0x12, 0x1F, *range(14)))
