"""Commands from SRP_CMD to SRP_RSP."""

from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginResponse
from tgtcore_srp.iu.opcodes import LoginRequestFlag, LoginResponseFlag
from tgtcore_srp.iu.opcodes import ResponseFlag as Flag
from tgtcore_srp.iu.response import Response
from tgtcore_srp.quirks import NO_LUN, Quirks

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, REFUSED, content, read, write

if TYPE_CHECKING:
    from conftest import Bench

KEY = 0x5A5A


def test_a_command_without_data(bench: "Bench") -> None:
    peer = bench.session()
    peer.command(7, READY)
    answer = peer.answer()
    assert (answer.tag, answer.delta, answer.status, answer.flags) == (7, 1, Status.GOOD, 0)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("length", [1, 512, 100_000])
@pytest.mark.parametrize("later", [False, True])
def test_data_in(bench: "Bench", length: int, later: bool) -> None:
    peer = bench.session()
    peer.fabric.moves = None if later else True
    peer.command(7, read(length), room=length)
    if later:
        assert peer.receive() == []
        peer.fabric.move()
    assert peer.answer().flags == 0
    assert peer.fabric.ram[:length] == content(length)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("length", [1, 512, 100_000])
@pytest.mark.parametrize("later", [False, True])
def test_data_out(bench: "Bench", length: int, later: bool) -> None:
    peer = bench.session()
    peer.fabric.moves = None if later else True
    peer.command(7, write(length), content(length))
    if later:
        assert peer.receive() == []
        peer.fabric.move()
    assert peer.answer().flags == 0
    assert bench.device().written == content(length)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("side", ["out", "in"])
def test_a_table_of_descriptors(bench: "Bench", side: str, later: bool) -> None:
    """In the command as a whole, or in the initiator's memory."""
    peer = bench.session()
    segments = tuple(Segment(at, KEY, length) for at, length in ((100, 300), (1000, 1), (2000, 211)))
    peer.fabric.ram[8192 : 8192 + 48] = build_table(segments)
    data = content(512)
    for tag, listed in enumerate((3, 1, 0)):
        at = 0
        for start, _, length in segments:
            peer.fabric.ram[start : start + length] = data[at : at + length] if side == "out" else bytes(length)
            at += length
        buffer = BufferDescriptor.indirect(Segment(8192, KEY, 48), segments, listed)
        peer.fabric.moves = None if later else True
        cdb = (write(512) if side == "out" else read(512)).ljust(16, b"\0")
        peer.request(Command(tag, 0, 0, cdb, 0, *((buffer, None) if side == "out" else (None, buffer))).build())
        while peer.fabric.moving:
            peer.fabric.move()
        answer = peer.answer()
        assert (answer.tag, answer.status, answer.flags) == (tag, Status.GOOD, 0)
        there = b"".join(peer.fabric.ram[start : start + length] for start, _, length in segments)
        assert (bench.device().written if side == "out" else there) == data
        assert peer.fabric.moves_begun == tag + 1 + bool(tag) + (tag == 2), "a complete list was fetched all the same"
    bench.assert_at_rest()
    bench.end()


def test_a_table_that_contradicts_its_descriptor(bench: "Bench") -> None:
    peer = bench.session()
    segments = (Segment(0, KEY, 100), Segment(500, KEY, 412))
    peer.fabric.ram[8192 : 8192 + 32] = build_table((Segment(0, KEY, 100), Segment(500, KEY, 411)))
    buffer = BufferDescriptor.indirect(Segment(8192, KEY, 32), segments, 0)
    peer.request(Command(1, 0, 0, read(512).ljust(16, b"\0"), 0, None, buffer).build())
    _assert_sense(peer.answer(), SenseKey.ILLEGAL_REQUEST, asc.INVALID_INFORMATION_UNIT)
    bench.assert_at_rest()
    bench.end()


def test_both_directions_with_tables(bench: "Bench") -> None:
    """Two tables are fetched, one after the other; the command wants neither direction, and both residuals say so."""
    peer = bench.session()
    peer.fabric.moves = None
    for at in (8192, 9000):
        peer.fabric.ram[at : at + 16] = build_table((Segment(0, KEY, 64),))
    out, in_ = (BufferDescriptor.indirect(Segment(at, KEY, 16), (Segment(0, KEY, 64),), 0) for at in (8192, 9000))
    peer.request(Command(1, 0, 0, READY.ljust(16, b"\0"), 0, out, in_).build())
    peer.fabric.move()
    assert peer.receive() == []
    peer.fabric.move()
    answer = peer.answer()
    assert (answer.flags, answer.out_residual, answer.in_residual) == (Flag.DOUNDER | Flag.DIUNDER, 64, 64)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize(
    ("cdb", "out", "room", "flags", "residuals"),
    [
        (read(100), 0, 300, Flag.DIUNDER, (0, 200)),
        (read(300), 0, 100, Flag.DIOVER, (0, 200)),
        (read(300), 0, 0, Flag.DIOVER, (0, 300)),
        (READY, 0, 50, Flag.DIUNDER, (0, 50)),
        (write(100), 300, 0, Flag.DOUNDER, (200, 0)),
        (write(300), 100, 0, Flag.DOOVER, (200, 0)),
        (READY, 50, 60, Flag.DOUNDER | Flag.DIUNDER, (50, 60)),
    ],
)
@pytest.mark.parametrize("as_over", [False, True])
def test_residuals(
    bench: "Bench", cdb: bytes, out: int, room: int, flags: Flag, residuals: tuple[int, int], as_over: bool
) -> None:
    peer = bench.session(quirks=Quirks(underrun_as_over=as_over))
    peer.command(1, cdb, content(out), room)
    answer = peer.answer()
    if as_over:
        under = flags & (Flag.DOUNDER | Flag.DIUNDER)
        flags = flags & ~under | Flag(under >> 1)
    assert (answer.status, answer.flags) == (Status.GOOD, flags)
    assert (answer.out_residual, answer.in_residual) == residuals
    got = min(room, 300) if cdb[0] == 0x28 else 0
    assert (
        peer.fabric.ram[out : out + min(got, int.from_bytes(cdb[6:9], "big"))]
        == content(300)[: min(got, int.from_bytes(cdb[6:9], "big"))]
    )
    bench.end()


def test_sense_data(bench: "Bench") -> None:
    """Nothing was moved of what there was room for."""
    peer = bench.session()
    peer.command(1, REFUSED, room=30)
    answer = peer.answer()
    _assert_sense(answer, SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB)
    assert answer.flags == Flag.SNSVALID | Flag.DIUNDER
    assert answer.in_residual == 30
    bench.end()


def test_no_more_sense_data_than_the_initiator_has_room_for(bench: "Bench") -> None:
    peer = bench.session(quirks=Quirks(sense_bytes_max=8))
    peer.command(1, REFUSED)
    assert len(peer.answer().sense) == 8
    bench.end()


@pytest.mark.parametrize("notifies", [False, True])
@pytest.mark.parametrize(
    ("solicited", "cdb", "notice"), [(2, READY, 1), (4, READY, 0), (2, REFUSED, 0), (4, REFUSED, 1)]
)
def test_solicited_notifications(bench: "Bench", solicited: int, cdb: bytes, notice: int, notifies: bool) -> None:
    peer = bench.session(quirks=Quirks(notifies=notifies))
    peer.command(1, cdb, solicited=solicited)
    assert peer.answer().solicited == (notice if notifies else 0)
    bench.end()


@pytest.mark.parametrize("moved", [False, None])
@pytest.mark.parametrize(("cdb", "out", "room"), [(read(64), b"", 64), (write(64), content(64), 0)])
def test_data_that_can_not_be_moved(bench: "Bench", cdb: bytes, out: bytes, room: int, moved: bool | None) -> None:
    """The command has failed, whatever its device thinks; and a write has had no effect."""
    peer = bench.session()
    peer.fabric.moves = moved
    peer.command(1, cdb, out, room)
    if moved is None:
        peer.fabric.move(ok=False)
    _assert_sense(peer.answer(), SenseKey.ABORTED_COMMAND, asc.DATA_PHASE_ERROR)
    assert bench.device().written == b""
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("moved", [False, None])
def test_a_table_that_can_not_be_fetched(bench: "Bench", moved: bool | None) -> None:
    peer = bench.session()
    peer.fabric.moves = moved
    buffer = BufferDescriptor.indirect(Segment(8192, KEY, 16), (Segment(0, KEY, 64),), 0)
    peer.request(Command(1, 0, 0, read(64).ljust(16, b"\0"), 0, None, buffer).build())
    if moved is None:
        peer.fabric.move(ok=False)
    _assert_sense(peer.answer(), SenseKey.ABORTED_COMMAND, asc.DATA_PHASE_ERROR)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize(
    "unit",
    [
        Command(6, 0, 0, bytes(16)).build()[:47],
        Command(6, 0, 3, bytes(16)).build(),
        Command(6, 0, 0, bytes(16 + 248)).build(),
        Command(6, 0, 0, bytes(16), 0, BufferDescriptor.immediate(4, 80)).build(b"data"),
        Command(6, 0, 0, bytes(16), 0, None, BufferDescriptor.direct(Segment((1 << 64) - 1, KEY, 2))).build(),
    ],
)
def test_a_malformed_command_is_answered(bench: "Bench", unit: bytes) -> None:
    """Not with a response code alone, which Linux takes for success."""
    peer = bench.session()
    peer.request(unit)
    answer = peer.answer()
    assert (answer.tag, answer.delta) == (6, 1)
    _assert_sense(answer, SenseKey.ILLEGAL_REQUEST, asc.INVALID_INFORMATION_UNIT)
    assert peer.channel.complaints == 1
    bench.assert_at_rest()
    bench.end()


def test_immediate_data(bench: "Bench") -> None:
    peer = bench.peer(quirks=Quirks(immediate_data=True))
    answer = peer.log_in(flags=LoginRequestFlag.IMMEDIATE, immediate_offset=80)
    assert isinstance(answer, LoginResponse)
    assert answer.flags & LoginResponseFlag.IMMEDIATE
    buffer = BufferDescriptor.immediate(512, 80)
    peer.request(Command(1, 0, 0, write(512).ljust(16, b"\0"), 0, buffer).build(content(512)))
    assert peer.answer().flags == 0
    assert bench.device().written == content(512)
    assert peer.fabric.moves_begun == 0
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("moving", [False, True])
def test_a_tag_that_is_in_use(bench: "Bench", moving: bool) -> None:
    """SAM-5 5.9.3: all commands of the nexus in that task set are aborted; only the second one of the tag is answered."""
    peer = bench.session()
    peer.command(2, HELD)
    if moving:
        peer.fabric.moves = None
        peer.command(1, read(64), room=64)
    else:
        peer.command(1, HELD)
    peer.command(1, READY)
    bench.device().release()
    if moving:
        assert peer.receive() == []
        peer.fabric.move()
        assert peer.answers()[0].status == Status.GOOD
        bench.end()
        return
    answer = peer.answer()
    assert (answer.tag, answer.delta) == (1, 3)
    _assert_sense(answer, SenseKey.ABORTED_COMMAND, asc.OVERLAPPED_COMMANDS_ATTEMPTED)
    peer.command(1, READY)
    assert peer.answer().status == Status.GOOD
    bench.assert_at_rest()
    bench.end()


def test_one_request_too_many(bench: "Bench") -> None:
    """It is answered, and then the channel ends: the initiator does not count."""
    peer = bench.session(limit=4)
    for tag in range(4):
        peer.command(tag, HELD)
    peer.command(4, READY)
    answer = peer.answer()
    assert (answer.tag, answer.delta, answer.status) == (4, 0, Status.TASK_SET_FULL)
    assert peer.fabric.disconnected
    bench.device().release()
    assert peer.gone
    bench.end()


def test_nothing_is_read_in_without_a_slot(bench: "Bench") -> None:
    """Not even the reserve has one when answers do not get away."""
    peer = bench.session(limit=4)
    peer.fabric.accepts_at_once = False
    for tag in range(4):
        peer.command(tag, READY)
    for _ in range(4):
        peer.send(peer.login_request().build())
    assert peer.channel.slot() is None
    assert peer.gone
    bench.end()


def test_the_lun_as_the_initiator_writes_it(bench: "Bench") -> None:
    """The fabric's quirks say which LUN that is."""
    peer = bench.session(quirks=Quirks(lun=lambda field: field ^ 0x8000 << 48 if field >> 63 else NO_LUN))
    peer.command(1, write(3), b"one", lun=0x8001 << 48)
    assert peer.answer().status == Status.GOOD
    assert bench.device(1).written == b"one"
    peer.command(2, READY)
    _assert_sense(peer.answer(), SenseKey.ILLEGAL_REQUEST, asc.LOGICAL_UNIT_NOT_SUPPORTED)
    bench.end()


def _assert_sense(answer: Response, key: SenseKey, code: tuple[int, int]) -> None:
    assert answer.status == Status.CHECK_CONDITION
    sense = parse_sense(answer.sense)
    assert (sense.key, sense.code) == (key, code)
