"""What the transport does as time passes, on a clock of the test's own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.codes import Opcode

if TYPE_CHECKING:
    from conftest import Bench, Peer

MakeBench = Callable[..., "Bench"]
READ = bytes((0x28, 0, 0, 0, 0, 0, 0, 0, 64, 0))
READ_FLAGS = 0xC1


def pass_time(bench: "Bench", seconds: float) -> None:
    bench.loop.now += seconds
    bench.transport._tick()
    bench.loop.run()


def read(peer: "Peer", itt: int) -> None:
    request = pdu.scsi_command(
        READ, flags=READ_FLAGS, lun=0, itt=itt, expected_length=32768, cmd_sn=peer.cmd_sn, exp_stat_sn=0
    )
    peer.cmd_sn += 1
    peer.send(request)


@pytest.mark.parametrize(("seconds", "alive"), [(14, True), (16, False)])
def test_a_login_has_its_time(bench: MakeBench, seconds: float, alive: bool) -> None:
    scene = bench(login_timeout_s=15)
    peer = scene.peer()
    pass_time(scene, seconds)
    assert peer.alive is alive


@pytest.mark.parametrize("answers", [True, False])
def test_a_silent_initiator_is_pinged_and_then_closed(bench: MakeBench, answers: bool) -> None:
    scene = bench(nop_interval_s=30)
    peer = scene.peer()
    peer.log_in(1)
    for _ in range(3):
        pass_time(scene, 31)
        if answers:
            peer.answer_pings()
    assert peer.alive is answers


def test_an_initiator_that_stops_reading_is_closed(bench: MakeBench) -> None:
    scene = bench(nop_interval_s=30)
    peer = scene.peer()
    peer.log_in(1)
    peer.socket.room = 0
    for itt in range(3):
        read(peer, itt)
    pass_time(scene, 31)
    pass_time(scene, 31)
    assert not peer.alive
    scene.assert_at_rest()


def test_an_initiator_that_reads_slowly_is_not_closed(bench: MakeBench) -> None:
    """The ping is behind the data, and its answer is not read while so much waits to be sent."""
    scene = bench(nop_interval_s=30)
    peer = scene.peer()
    peer.log_in(1)
    for itt in range(40):
        peer.socket.room = 0
        read(peer, itt)
    for _ in range(5):
        peer.socket.room = 8192
        peer.receive()
        pass_time(scene, 31)
        assert peer.alive
    for _ in range(3):
        pass_time(scene, 31)
    assert not peer.alive


def test_nobody_is_blamed_for_the_slowness_of_a_store(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore_iscsi.memory.CONNECTION_BYTES_HIGH", 40_000)
    scene = bench(nop_interval_s=30)
    scene.ram.nowait = False
    peer = scene.peer()
    peer.log_in(1)
    for itt in range(3):
        read(peer, itt)
    pass_time(scene, 31)
    pass_time(scene, 31)
    assert peer.alive
    scene.finish()
    peer.receive()
    pass_time(scene, 31)
    peer.answer_pings()
    pass_time(scene, 31)
    assert peer.alive
    assert not peer.witness.tasks


@pytest.mark.parametrize("late", [14, 16])
def test_last_words_have_their_time(bench: MakeBench, late: float) -> None:
    """However long the session was, and however much is to be read before them."""
    scene = bench(login_timeout_s=15, nop_interval_s=0)
    peer = scene.peer()
    peer.log_in(1)
    pass_time(scene, 1000)
    peer.socket.room = 0
    for itt in range(1, 4):
        read(peer, itt)
    peer.send(pdu.logout_request(0, itt=99, cmd_sn=peer.cmd_sn, exp_stat_sn=0))
    pass_time(scene, 1)
    assert peer.alive
    pass_time(scene, late)
    assert peer.alive is (late < 15)
    peer.socket.room = 1 << 30
    scene.loop.run()
    said = [response.opcode for response in peer.receive()]
    assert (Opcode.LOGOUT_RESPONSE in said) is (late < 15)
    scene.assert_at_rest()
