"""Requests of the full feature phase in every order, right and wrong: what comes back is right, and nothing is left behind."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.limits import IMMEDIATE_COMMANDS_MAX
from tgtcore_iscsi.pdu.ahs import build_ahs
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, Opcode

if TYPE_CHECKING:
    from conftest import Bench, Peer

MakeBench = Callable[..., "Bench"]

BLOCK = 512
READ, WRITE = 0x40, 0x20
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
DATA = random.Random(7143).randbytes(64 * 1024)
COLD_RESET = 7
OUTBOUND_HIGH = 20_000
TRANSFER_BYTES = 65536 + 128 * 48
"""The longest transfer that a move asks for, in pieces of 512 bytes."""


class Wrong(NamedTuple):
    """One word of a header that is not what it should be."""

    word: int
    change: int

    def spoil(self, header: bytes) -> bytes:
        at = self.word * 4
        value = int.from_bytes(header[at : at + 4], "big") + self.change & 0xFFFFFFFF
        return header[:at] + value.to_bytes(4, "big") + header[at + 4 :]


class Move(NamedTuple):
    """One thing that a peer does; the numbers mean what its kind makes of them."""

    kind: str
    one: int = 0
    two: int = 0
    three: int = 0
    wrong: Wrong | None = None


class Initiator:
    """Plays moves on one connection."""

    def __init__(self, bench: "Bench", peer: "Peer", *, minds_window: bool = True) -> None:
        self.bench = bench
        self.minds_window = minds_window
        self.peer = peer
        self.writes = 0
        self.written: dict[int, tuple[int, bytes]] = {}
        self.bursts: dict[int, tuple[int, int]] = {}
        self.resets_all = False

    def play(self, move: Move) -> None:
        if move.kind not in NUMBERED or self.peer.window_open or not self.minds_window:
            getattr(self, move.kind)(move)
        if self.peer.socket.room:
            self.hear()

    def hear(self) -> list[Any]:
        responses = self.peer.receive()
        for response in responses:
            done = self.written.pop(getattr(response.fields, "itt", 0), None)
            if done is not None and response.opcode is Opcode.SCSI_RESPONSE and response.fields.status == 0:
                offset, content = done
                assert self.bench.ram.content[offset : offset + len(content)] == content, "GOOD, and not written"
            elif done is not None and response.opcode is Opcode.R2T:
                self.written[response.fields.itt] = done
        return responses

    def request(self, header: bytes, data: bytes, move: Move, *, takes_number: bool = True) -> None:
        if takes_number and not header[0] & 0x40:
            self.peer.cmd_sn = self.peer.cmd_sn + 1 & 0xFFFFFFFF
        if move.wrong is not None:
            header = move.wrong.spoil(header)
        self.resets_all |= header[0] & 0x3F == Opcode.TASK_MANAGEMENT_REQUEST and header[1] & 0x7F == COLD_RESET
        self.peer.send(header, data)

    def tag(self) -> int:
        self.peer.tag += 1
        return self.peer.tag

    # ---- SCSI commands ------------------------------------------------------------------------------------------------

    def command(self, flags: int, cdb: bytes, length: int, move: Move, data: bytes = b"", ahs: bytes = b"") -> int:
        itt = self.tag()
        header = pdu.scsi_command(
            cdb, flags=flags, lun=0, itt=itt, expected_length=length, cmd_sn=self.peer.cmd_sn, exp_stat_sn=0
        )
        header = header[:4] + (len(ahs) // 4 << 24 | len(data)).to_bytes(4, "big") + header[8:] + ahs
        self.request(header, data, move)
        return itt

    def ready(self, move: Move) -> None:
        self.command(FINAL | move.one % 5, bytes(6), 0, move)

    def unknown(self, move: Move) -> None:
        cdb = bytes((move.one & 0xFF,)) + DATA[:15]
        flags = move.two & (READ | WRITE)
        ahs = build_ahs(DATA[: move.three % 9 * 4], move.one * 256 if flags == READ | WRITE else None)
        self.command(FINAL | flags, cdb, move.three * 512, move, ahs=ahs)

    def read(self, move: Move) -> None:
        blocks = move.one % 64 + 1
        cdb = bytes((0x28, 0)) + (move.two % 64).to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
        self.command(FINAL | READ | 1, cdb, blocks * BLOCK + (0, 0, 0, 512, -512, -3)[move.three % 6], move)

    def write(self, move: Move) -> None:
        """Immediate and unsolicited data up to where the numbers say, the rest when R2Ts ask for it."""
        blocks = move.one % 64 + 1
        length = blocks * BLOCK
        self.writes += 1
        at = self.writes * 64
        cdb = bytes((0x2A, 0)) + at.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
        allowed = self.peer.allowed
        first_burst = min(length, allowed.first_burst)
        immediate = min(first_burst, allowed.segment_max, (0, 512, 8192, 65536)[move.three % 4])
        immediate = immediate if allowed.immediate_data else 0
        unsolicited = first_burst if allowed.unsolicited and move.three & 8 else immediate
        flags = WRITE | (FINAL if unsolicited <= immediate else 0) | (move.two % 4)
        self.bench.ram.write(at * BLOCK, bytes(length))
        itt = self.command(flags, cdb, length, move, DATA[:immediate])
        if move.wrong is None:
            self.written[itt] = at * BLOCK, DATA[:length]
        self.data_out(itt, NO_TAG, immediate, unsolicited, 4096, move)

    def data_out(self, itt: int, ttt: int, start: int, end: int, piece: int, move: Move) -> None:
        for data_sn, at in enumerate(range(start, end, piece)):
            data = DATA[at : min(at + piece, end)]
            header = pdu.data_out(
                data,
                flags=FINAL if at + piece >= end else 0,
                itt=itt,
                ttt=ttt,
                exp_stat_sn=0,
                data_sn=data_sn,
                buffer_offset=at,
            )
            self.request(header[:48], data, move, takes_number=False)

    def answer(self, move: Move) -> None:
        """Send what an R2T has asked for, not always the oldest."""
        r2ts = self.peer.witness.r2ts
        if r2ts:
            ttt = sorted(r2ts)[move.one % len(r2ts)]
            r2t = r2ts.pop(ttt)
            end = r2t.buffer_offset + r2t.desired_length
            self.data_out(r2t.itt, ttt, r2t.buffer_offset, end, (512, 2048, 4096)[move.two % 3], move)

    # ---- everything else ------------------------------------------------------------------------------------------------

    def ping(self, move: Move) -> None:
        data = DATA[: move.one % 3 * 1000]
        header = pdu.nop_out(
            data,
            itt=self.tag() if move.two % 4 else NO_TAG,
            cmd_sn=self.peer.cmd_sn,
            exp_stat_sn=0,
            immediate=bool(move.two % 2) or not move.two % 4,
        )
        self.request(header[:48], data, move)

    def text(self, move: Move) -> None:
        late = f"MaxRecvDataSegmentLength={self.peer.agreement.segment_max}\0".encode()
        data = (b"SendTargets=All\0", b"SendTargets=\0", b"X=1\0", late)[move.one % 4]
        data = data if move.three % 4 or move.two % 4 == 3 else b""
        header = pdu.text_request(
            data,
            itt=self.tag(),
            cmd_sn=self.peer.cmd_sn,
            exp_stat_sn=0,
            flags=(FINAL, FINAL, 0, 0x40)[move.two % 4],
        )
        self.request(header[:48], data, move)

    def manage(self, move: Move) -> None:
        header = pdu.task_management_request(
            (1, 1, 2, 3, 4, 5, 6, 8, 9)[move.one % 9],
            lun=0,
            itt=self.tag(),
            cmd_sn=self.peer.cmd_sn,
            exp_stat_sn=0,
            referenced_task_tag=max(self.peer.tag - 1 - move.two % 4, 0),
            ref_cmd_sn=self.peer.cmd_sn - 1 - move.two % 4 & 0xFFFFFFFF,
            immediate=bool(move.three % 2),
        )
        self.request(header, b"", move)

    def logout(self, move: Move) -> None:
        header = pdu.logout_request(
            move.one % 4, itt=self.tag(), cmd_sn=self.peer.cmd_sn, exp_stat_sn=0, immediate=bool(move.two % 2)
        )
        self.request(header, b"", move)

    def snack(self, move: Move) -> None:
        self.request(bytes((0x10, FINAL)) + bytes(46), b"", move, takes_number=False)

    def any_header(self, move: Move) -> None:
        header = bytearray(48)
        header[0], header[1] = move.one & 0x7F, move.two & 0xFF
        header[16:20], header[24:28] = self.tag().to_bytes(4, "big"), self.peer.cmd_sn.to_bytes(4, "big")
        data = DATA[: move.three % 5]
        header[5:8] = len(data).to_bytes(3, "big")
        self.request(bytes(header), data, move, takes_number=False)

    def noise(self, move: Move) -> None:
        self.peer.deliver(DATA[move.one : move.one + move.two])

    def wrong_digest(self, move: Move) -> None:
        header = pdu.nop_out(DATA[:100], itt=self.tag(), cmd_sn=self.peer.cmd_sn, exp_stat_sn=0)[:48]
        self.peer.send(header, DATA[:100], header_digest=move.one % 2, data_digest_error=move.two % 2)

    def half(self, move: Move) -> None:
        """A piece of a PDU whose rest may never come."""
        self.peer.deliver(pdu.nop_out(DATA[:1000], itt=self.tag(), cmd_sn=self.peer.cmd_sn, exp_stat_sn=0)[: move.one])

    # ---- the world around -----------------------------------------------------------------------------------------------

    def work(self, move: Move) -> None:
        self.bench.workers.work(move.one)
        self.bench.loop.run()

    def stop_reading(self, move: Move) -> None:
        self.peer.socket.room = move.one * 64

    def go_on_reading(self, move: Move) -> None:
        self.peer.socket.room = 1 << 30
        self.bench.loop.run()

    def slow_store(self, move: Move) -> None:
        self.bench.ram.nowait = not self.bench.ram.nowait

    def tick(self, move: Move) -> None:
        self.bench.loop.now += 40
        self.bench.transport._tick()
        self.bench.loop.run()
        self.bench.peers[0].answer_pings()


NUMBERED = frozenset(("ready", "unknown", "read", "write", "ping", "text", "manage", "logout"))
"""Moves that need room in the command window."""
NUMBERS = st.integers(0, 255)
HONEST = ("ready", "read", "read", "write", "write", "write", "answer", "answer", "ping", "text", "unknown")
AROUND = ("work", "work", "stop_reading", "go_on_reading", "slow_store", "answer")
HOSTILE = ("manage", "logout", "snack", "any_header", "noise", "half", "tick", "wrong_digest")
WRONG = st.builds(
    Wrong,
    st.integers(0, 11),
    st.sampled_from([1, -1, 2, 4, 512, -512, 4096, 1 << 24, 1 << 22, 1 << 23, 1 << 29, 1 << 30, 1 << 31, -(1 << 16)]),
)
DIGESTS = st.fixed_dictionaries(
    {"HeaderDigest": st.sampled_from(["None", "CRC32C"]), "DataDigest": st.sampled_from(["None", "CRC32C"])}
)
KEYS = st.fixed_dictionaries(
    {
        "MaxBurstLength": st.sampled_from(["4096", "16384", "262144"]),
        "FirstBurstLength": st.sampled_from(["512", "32768"]),
        "MaxRecvDataSegmentLength": st.sampled_from(["512", "3000", "8192", "262144"]),
        "MaxOutstandingR2T": st.sampled_from(["1", "3"]),
        "ImmediateData": st.sampled_from(["Yes", "No"]),
        "InitialR2T": st.sampled_from(["Yes", "No"]),
    }
)


def moves(*kinds: str, wrong: st.SearchStrategy[Wrong | None]) -> st.SearchStrategy[list[Move]]:
    return st.lists(st.builds(Move, st.sampled_from(kinds), NUMBERS, NUMBERS, NUMBERS, wrong), min_size=1, max_size=12)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a few kilobytes reach."""
    monkeypatch.setattr("tgtcore_iscsi.connection.OUTBOUND_BYTES_HIGH", OUTBOUND_HIGH)


def healthy_io(bench: "Bench", peer: "Peer") -> None:
    """Write, read, compare; a reset by somebody else is reported once and then over."""
    content = DATA[: 8 * BLOCK]
    initiator = Initiator(bench, peer)
    for flags, opcode, data in ((FINAL | WRITE | 1, 0x2A, content), (FINAL | READ | 1, 0x28, b"")):
        cdb = bytes((opcode, 0, 0, 0, 0x3F, 0xF0, 0, 0, 8, 0))
        for _ in range(3):
            initiator.command(flags, cdb, len(content), Move(""), data)
            bench.finish()
            responses = peer.receive()
            if responses[-1].fields.status == 0:
                break
            assert responses[-1].data[2 + 2] & 0x0F == 6, "an error that is no unit attention"
    assert b"".join(response.data for response in responses) == content
    assert bench.ram.content[0x3FF0 * BLOCK :][: len(content)] == content


def assert_bounded(peer: "Peer") -> None:
    """What one connection may hold at most, with the limits above and a window of 4."""
    connection = peer.connection
    assert connection.inbound.capacity <= 2 * (262144 + 48 + 1020 + 8)
    assert connection.outbound_bytes <= OUTBOUND_HIGH + 24 * TRANSFER_BYTES
    if connection.session_phase is not None:
        assert len(connection.session_phase._ahead) <= 4
        assert len(connection.session_phase.nexus.tasks) <= 4 + IMMEDIATE_COMMANDS_MAX


@pytest.mark.fuzz
@pytest.mark.timeout(900)
@FUZZ
@given(
    moves=moves(*HONEST, *HONEST, *AROUND, *HOSTILE, wrong=st.one_of(st.none(), st.none(), st.none(), WRONG)),
    digests=DIGESTS,
    keys=st.one_of(st.just({}), KEYS),
    cmd_sn=st.sampled_from([1, 1, 0xFFFFFFFE]),
    manners=st.tuples(st.booleans(), st.booleans()),
)
def test_only_the_offender_ends(
    bench: MakeBench,
    moves: list[Move],
    digests: dict[str, str],
    keys: dict[str, str],
    cmd_sn: int,
    manners: tuple[bool, bool],
) -> None:
    minds_window, resets = manners
    scene = bench(queue_depth=4)
    neighbour = scene.peer()
    neighbour.log_in(2)
    peer = scene.peer()
    peer.cmd_sn = cmd_sn
    peer.log_in(1, **digests, **keys)
    initiator = Initiator(scene, peer, minds_window=minds_window)
    for move in moves:
        initiator.play(move)
        assert_bounded(peer)
        if not peer.alive:
            break
    peer.close(reset=resets)
    scene.finish()
    assert not peer.alive
    if not initiator.resets_all:
        healthy_io(scene, neighbour)
    scene.assert_at_rest()


@pytest.mark.fuzz
@pytest.mark.timeout(900)
@FUZZ
@given(
    moves=moves(*HONEST, *AROUND, wrong=st.none()),
    digests=DIGESTS,
    keys=KEYS,
    cmd_sn=st.sampled_from([1, 0xFFFFFFFE]),
    segment_max=st.sampled_from([4096, 5000, 262144]),
)
def test_an_honest_initiator_is_served_to_the_end(
    bench: MakeBench,
    moves: list[Move],
    digests: dict[str, str],
    keys: dict[str, str],
    cmd_sn: int,
    segment_max: int,
) -> None:
    scene = bench(queue_depth=16, max_recv_data_segment_length=segment_max)
    peer = scene.peer()
    peer.cmd_sn = cmd_sn
    peer.log_in(1, **digests, **keys)
    initiator = Initiator(scene, peer)
    for move in moves:
        initiator.play(move)
        assert peer.alive
    peer.socket.room = 1 << 30
    scene.loop.run()
    initiator.hear()
    while scene.workers.jobs or peer.witness.r2ts:
        scene.workers.work()
        scene.loop.run()
        initiator.play(Move("answer"))
    assert peer.alive
    assert not peer.witness.tasks
    assert not initiator.written
    scene.assert_at_rest()
