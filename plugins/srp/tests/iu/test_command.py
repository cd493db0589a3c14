"""Commands: what is in them, and every way to get their lengths, counts and sums wrong."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import TABLE_SEGMENTS_MAX, BufferDescriptor, build_table, parse_table
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.opcodes import BufferFormat, LogoutReason

CDB = bytes(range(16))
END = 1 << 64
HERE = Segment(0x1000, 7, 0x100)
THERE = Segment(0x2000, 8, 0x300)
TABLE = Segment(0x8000, 9, 32)
DIRECT = BufferDescriptor.direct(HERE)
INDIRECT = BufferDescriptor.indirect(TABLE, (HERE, THERE))
IMMEDIATE_OFFSET = 68


def unit(
    data_out: BufferDescriptor | None = None, data_in: BufferDescriptor | None = None, **changed: int
) -> bytearray:
    """A command; ``byte5=1`` makes byte 5 to be 1."""
    made = bytearray(Command(1, 2, 0, CDB, 0, data_out, data_in).build())
    for name, value in changed.items():
        made[int(name.removeprefix("byte"))] = value
    return made


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (unit(byte0=1), "SRP_CMD: opcode is 0x01, expected 0x02"),
        (unit()[:47], "SRP_CMD: length is 47, expected 48 bytes or more"),
        (unit(byte29=3), "SRP_CMD: task attribute is 3, expected 0, 1, 2 or 4"),
        (unit(None, DIRECT, byte29=7), "SRP_CMD: task attribute is 7, expected 0, 1, 2 or 4"),
        (unit(byte31=1), "SRP_CMD: additional CDB length is 1, expected a multiple of 4 bytes"),
        (unit(byte31=248), "SRP_CMD: additional CDB length is 248, expected 244 bytes at most"),
        (unit(None, DIRECT, byte31=20), "SRP_CMD: additional CDB length is 20, expected 16 bytes at most"),
        (unit(byte5=0x40), "SRP_CMD: data-out buffer descriptor format is 4, expected one that login has agreed on"),
        (unit(byte5=0x03), "SRP_CMD: data-in buffer descriptor format is 3, expected one that login has agreed on"),
        (unit(byte5=0x30), "SRP_CMD: data-out buffer descriptor format is 3, expected one that login has agreed on"),
        (unit(DIRECT)[:63], "SRP_CMD: data-out descriptor end is byte 64, expected 63 at most, the length of the unit"),
        (
            unit(INDIRECT)[:67],
            "SRP_CMD: data-out descriptor end is byte 68, expected 67 at most, the length of the unit",
        ),
        (
            unit(None, INDIRECT)[:99],
            "SRP_CMD: data-in descriptor list end is byte 100, expected 99 at most, the length of the unit",
        ),
        (
            unit(None, INDIRECT, byte7=3),
            "SRP_CMD: data-in descriptor count is 3, expected 2 at most, as many as the table has",
        ),
        (unit(INDIRECT, byte63=33), "SRP_CMD: data-out table length is 33, expected a multiple of 16 bytes"),
        (
            unit(INDIRECT, byte61=1, byte63=16),
            f"SRP_CMD: data-out table length is {0x10010}, expected {TABLE_SEGMENTS_MAX * 16} bytes at most",
        ),
        (
            unit(INDIRECT, byte66=3),
            "SRP_CMD: sum of the data-out segments is 1024, expected 768, the length of the buffer",
        ),
        (
            unit(INDIRECT, byte66=5),
            "SRP_CMD: sum of the data-out segments is 1024, expected 1280, the length of the buffer",
        ),
        (
            unit(INDIRECT, byte66=0, byte6=1),
            "SRP_CMD: sum of the data-out segments is 256, expected 0 at most, the length of the buffer",
        ),
        (
            unit(BufferDescriptor.direct(Segment(END - 1, 0, 2))),
            "SRP_CMD: data-out descriptor length is 2, expected 1 at most from address 0xffffffffffffffff on",
        ),
        (
            unit(None, BufferDescriptor.indirect(Segment(END - 16, 0, 32), (HERE, THERE))),
            "SRP_CMD: data-in table length is 32, expected 16 at most from address 0xfffffffffffffff0 on",
        ),
        (
            unit(None, BufferDescriptor.indirect(TABLE, (HERE, Segment(END - 9, 0, 10)))),
            "SRP_CMD: data-in segment 1 length is 10, expected 9 at most from address 0xfffffffffffffff7 on",
        ),
    ],
)
def test_malformed(made: bytearray, says: str) -> None:
    with pytest.raises(Malformed, match=f"^{re.escape(says)}$") as caught:
        Command.parse(made)
    assert (
        str(caught.value)
        == f"{caught.value.iu}: {caught.value.field} is {caught.value.found}, expected {caught.value.expected}"
    )


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (unit()[:20], LogoutReason.INVALID_LENGTH),
        (unit(byte0=9), LogoutReason.INVALID_TYPE),
        (unit(byte5=0x50), LogoutReason.UNSUPPORTED_OUT_FORMAT),
        (unit(byte5=0x05), LogoutReason.UNSUPPORTED_IN_FORMAT),
        (unit(byte31=3), LogoutReason.NONE),
    ],
)
def test_what_a_target_says_when_it_ends_the_channel_for_it(made: bytearray, reason: LogoutReason) -> None:
    with pytest.raises(Malformed) as caught:
        Command.parse(made)
    assert caught.value.reason is reason


def test_only_so_much_as_has_arrived() -> None:
    slot = memoryview(unit(None, DIRECT))
    assert Command.parse(slot, 64).data_in == DIRECT
    with pytest.raises(Malformed, match="data-in descriptor end is byte 64, expected 63 at most"):
        Command.parse(slot, 63)


@pytest.mark.parametrize(("byte", "value"), [(2, 255), (6, 9), (7, 9), (16, 255), (28, 255), (29, 0xF9), (30, 255)])
def test_reserved_fields_are_ignored(byte: int, value: int) -> None:
    made = unit(None, DIRECT)
    expected = Command.parse(made)
    made[byte] = value
    assert Command.parse(made)._replace(attribute=0) == expected


def test_the_last_byte_of_the_address_space_has_its_place() -> None:
    segment = Segment(END - 5, 1, 5)
    for buffer in (BufferDescriptor.direct(segment), BufferDescriptor.indirect(Segment(END - 16, 1, 16), (segment,))):
        assert Command.parse(unit(buffer)).data_out == buffer


class TestImmediateData:
    """It lies behind all descriptors and inside the unit."""

    DATA = b"data"

    def unit(self, offset: int = IMMEDIATE_OFFSET, length: int = 4, data_in: BufferDescriptor | None = None) -> bytes:
        return Command(1, 2, 0, CDB, 0, BufferDescriptor.immediate(length, offset), data_in).build(self.DATA)

    def test_where_it_is(self) -> None:
        made = self.unit()
        buffer = Command.parse(made, immediate_offset=IMMEDIATE_OFFSET).data_out
        assert buffer == (BufferFormat.IMMEDIATE, 4, (), None, IMMEDIATE_OFFSET)
        assert buffer is not None
        assert buffer.complete
        assert made[buffer.offset :][: buffer.length] == self.DATA

    def test_data_in_goes_with_it(self) -> None:
        made = self.unit(data_in=DIRECT)
        assert Command.parse(made, immediate_offset=IMMEDIATE_OFFSET).data_in == DIRECT

    @pytest.mark.parametrize(
        ("offset", "length", "data_in", "says"),
        [
            (68, 5, None, "data-out immediate data end is byte 73, expected 72 at most"),
            (68, 0xFFFFFFFF, None, "data-out immediate data end is byte 4294967363, expected 72 at most"),
            (51, 4, None, "immediate data offset is 51, expected 52 or more, behind the descriptors"),
            (67, 4, DIRECT, "immediate data offset is 67, expected 68 or more, behind the descriptors"),
        ],
    )
    def test_malformed(self, offset: int, length: int, data_in: Any, says: str) -> None:
        made = self.unit(68, length, data_in)
        with pytest.raises(Malformed, match=says):
            Command.parse(made, immediate_offset=offset)


class TestTable:
    """The table of an indirect buffer, fetched from the initiator's memory."""

    def test_all_pieces(self) -> None:
        assert parse_table(build_table((HERE, THERE)), 0x400) == (HERE, THERE)

    def test_none(self) -> None:
        assert parse_table(b"", 0) == ()

    @pytest.mark.parametrize(
        ("table", "length", "says"),
        [
            (bytes(17), 0, "memory descriptor table: length is 17, expected a multiple of 16 bytes"),
            (
                build_table((HERE,)),
                0xFF,
                "memory descriptor table: sum of the segments is 256, expected 255, the length of",
            ),
            (
                build_table((HERE,)),
                0x101,
                "memory descriptor table: sum of the segments is 256, expected 257, the length of",
            ),
            (
                build_table((HERE, Segment(END - 1, 0, 2))),
                0x102,
                "memory descriptor table: segment 1 length is 2, expected 1 at",
            ),
        ],
    )
    def test_malformed(self, table: bytes, length: int, says: str) -> None:
        with pytest.raises(Malformed, match=f"^{says}"):
            parse_table(table, length)


segments = st.builds(Segment, st.integers(0, END - (1 << 32)), st.integers(0, 2**32 - 1), st.integers(0, 2**22))


@st.composite
def buffers(draw: st.DrawFn) -> BufferDescriptor:
    if draw(st.booleans()):
        return BufferDescriptor.direct(draw(segments))
    pieces = tuple(draw(st.lists(segments, max_size=20)))
    table = Segment(draw(st.integers(0, 2**63)), draw(st.integers(0, 2**32 - 1)), 16 * len(pieces))
    return BufferDescriptor.indirect(table, pieces, draw(st.integers(0, len(pieces))))


u64 = st.integers(0, END - 1)
commands = st.builds(
    Command,
    u64,
    u64,
    st.sampled_from([0, 1, 2, 4]),
    st.integers(4, 65).flatmap(lambda dwords: st.binary(min_size=4 * dwords, max_size=4 * dwords)),
    st.integers(0, 255),
    st.none() | buffers(),
    st.none() | buffers(),
)


@given(command=commands)
def test_round_trip(command: Command) -> None:
    assert Command.parse(command.build()) == command


@given(command=commands, change=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_stay_in_bounds(command: Command, change: list[tuple[int, int]]) -> None:
    made = bytearray(command.build())
    for at, value in change:
        made[at % len(made)] = value
    offset = change[0][0]
    try:
        found = Command.parse(made, immediate_offset=offset)
    except Malformed:
        return
    assert len(found.cdb) <= len(made) - 32
    for buffer in (found.data_out, found.data_in):
        if buffer is not None:
            assert 16 * len(buffer.segments) <= len(made) - 48
            assert not buffer.offset or buffer.offset + buffer.length <= len(made)
            assert not buffer.complete or buffer.offset or sum(each.length for each in buffer.segments) == buffer.length
            assert all(each.address + each.length <= END for each in buffer.segments)
