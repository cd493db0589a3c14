"""Initiators that come again while their old tasks are busy: no session is there twice, no old write lands late."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.codes import FINAL, LoginStatus

if TYPE_CHECKING:
    from conftest import Bench, Peer

BLOCK = 512
WRITE_FINAL_SIMPLE = 0xA1


class Move(NamedTuple):
    """What one of the peers does."""

    kind: str
    number: int


class Lives:
    """Peers of two initiator ports; a peer logs in once and is gone when its connection is."""

    def __init__(self, bench: "Bench") -> None:
        self.bench = bench
        self.asking: list[tuple[int, Peer]] = []
        self.inside: list[tuple[int, Peer]] = []
        self.written = 0

    def play(self, move: Move) -> None:
        getattr(self, move.kind)(move.number)
        self.look()

    def look(self) -> None:
        """Whoever was admitted finds nothing of an older session of his port."""
        for isid, peer in list(self.asking):
            status = peer.login_answer()
            if status is None and peer.alive:
                continue
            self.asking.remove((isid, peer))
            if status is LoginStatus.SUCCESS:
                self.inside.append((isid, peer))
                assert not self.tasks_of(isid)
        for _, peer in list(self.inside):
            peer.receive()
        self.inside = [(isid, peer) for isid, peer in self.inside if peer.alive]
        ports = [isid for isid, _ in self.inside]
        assert len(set(ports)) == len(ports), "one initiator port has two connections"

    def tasks_of(self, isid: int) -> list[Any]:
        name = f"{isid:012x}"
        return [
            task
            for task in self.bench.lu.tasks()
            if name in task.nexus.initiator_port.transport_id.hex() + str(task.nexus)
        ]

    def log_in(self, number: int) -> None:
        peer = self.bench.peer()
        self.asking.append((number % 2 + 1, peer))
        peer.ask_to_log_in(number % 2 + 1)

    def log_in_again(self, number: int) -> None:
        """With the handle of a session that is there, or was."""
        peer = self.bench.peer()
        tsih = self.bench.peers[number % len(self.bench.peers)].tsih or 7
        self.asking.append((number // 8 % 2 + 1, peer))
        peer.ask_to_log_in(number // 8 % 2 + 1, tsih=tsih, cid=number // 64 % 2)

    def one(self, number: int) -> "Peer | None":
        return self.inside[number % len(self.inside)][1] if self.inside else None

    def write(self, number: int) -> None:
        """A write that stays busy until a worker gets on."""
        if (peer := self.one(number)) is not None:
            self.send_command(peer, 0x2A, b"\xa5" * BLOCK)

    def send_command(self, peer: "Peer", opcode: int, data: bytes) -> None:
        peer.tag += 1
        cdb = bytes((opcode, 0, 0, 0, 0, 0, 0, 0, len(data) // BLOCK, 0))
        flags = WRITE_FINAL_SIMPLE if data else FINAL | 1
        request = pdu.scsi_command(
            cdb, flags=flags, lun=0, itt=peer.tag, expected_length=len(data), cmd_sn=peer.cmd_sn, exp_stat_sn=0
        )
        peer.cmd_sn += 1
        peer.send(request[:4] + len(data).to_bytes(4, "big") + request[8:], data)

    def ready(self, number: int) -> None:
        if (peer := self.one(number)) is not None:
            self.send_command(peer, 0x00, b"")

    def log_out(self, number: int) -> None:
        if (peer := self.one(number)) is not None:
            peer.send(pdu.logout_request(number // 16 % 3, itt=0, cmd_sn=peer.cmd_sn, exp_stat_sn=0))

    def leave(self, number: int) -> None:
        if self.bench.peers:
            peer = self.bench.peers[number % len(self.bench.peers)]
            peer.close(reset=bool(number & 128))

    def cold_reset(self, number: int) -> None:
        if (peer := self.one(number)) is not None:
            request = pdu.task_management_request(7, lun=0, itt=1 << 20, cmd_sn=peer.cmd_sn, exp_stat_sn=0)
            peer.send(request)

    def work(self, number: int) -> None:
        self.bench.workers.work(number)
        self.bench.loop.run()


KINDS = [
    "log_in",
    "log_in",
    "log_in_again",
    "log_in_again",
    "write",
    "write",
    "ready",
    "log_out",
    "leave",
    "cold_reset",
    "work",
    "work",
]
MOVES = st.lists(st.builds(Move, st.sampled_from(KINDS), st.integers(0, 255)), min_size=2, max_size=20)


@pytest.mark.fuzz
@pytest.mark.timeout(900)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example([Move("log_in", 0), Move("ready", 0), Move("write", 0), Move("log_in_again", 0), Move("log_in", 0)])
@example([Move("log_in", 0), Move("ready", 0), Move("write", 0), Move("log_in_again", 0), Move("log_in_again", 0)])
@given(moves=MOVES)
def test_each_port_has_one_session_and_no_late_writes(bench: Callable[..., "Bench"], moves: list[Move]) -> None:
    scene = bench()
    lives = Lives(scene)
    for move in moves:
        lives.play(move)
    scene.finish()
    lives.look()
    scene.assert_at_rest()
