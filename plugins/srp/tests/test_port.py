"""Logins, sessions of several channels, and how they end."""

from typing import TYPE_CHECKING, Any

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginReject, LoginResponse
from tgtcore_srp.iu.opcodes import LogoutReason, RejectReason
from tgtcore_srp.iu.opcodes import MultiChannelAction as Action
from tgtcore_srp.iu.opcodes import MultiChannelResult as Result
from tgtcore_srp.iu.others import InitiatorLogout, TargetLogout
from tgtcore_srp.memory import Memory
from tgtcore_srp.states import State

from tgtcore import TgtError
from tgtcore.testing.host import HELD, READY, read, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bench

Reason = RejectReason
KEY = 0x5A5A


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"it_iu_bytes": 4097}, Reason.IU_LENGTH_TOO_LARGE),
        ({"it_iu_bytes": 63}, Reason.UNABLE_TO_ESTABLISH_CHANNEL),
        ({"formats": 0}, Reason.UNSUPPORTED_FORMAT),
        ({"formats": 0x0E}, Reason.UNSUPPORTED_FORMAT),
        ({"target_port": bytes(16)}, Reason.UNABLE_TO_ASSOCIATE),
        ({"flags": Action.MULTI}, Reason.MULTI_CHANNEL_UNSUPPORTED),
        ({"flags": 2}, Reason.UNABLE_TO_ESTABLISH_CHANNEL),
    ],
)
def test_a_login_that_can_not_be_served(bench: "Bench", fields: dict[str, Any], reason: RejectReason) -> None:
    """The initiator hears why, and may try again."""
    peer = bench.peer()
    rejected = peer.log_in(tag=77, **fields)
    assert rejected == LoginReject(77, reason, 6)
    accepted = peer.log_in(tag=78)
    assert isinstance(accepted, LoginResponse)
    assert (accepted.tag, accepted.delta, accepted.it_iu_bytes, accepted.ti_iu_bytes) == (78, 8, 4096, 256)
    bench.assert_at_rest()
    bench.end()


def test_no_initiator_fills_the_log(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    peer = bench.peer()
    for _ in range(50):
        peer.log_in(formats=0)
    assert peer.channel.complaints == 50
    assert len([record for record in caplog.records if record.name.startswith("tgtcore_srp")]) == 10
    assert caplog.messages[0] == "channel 1: login rejected: descriptor formats 0x0, expected some of 0x6"
    assert caplog.messages[-1].endswith("; more of this is not logged")
    bench.end()


def test_a_login_that_is_cut(bench: "Bench") -> None:
    peer = bench.peer()
    peer.send(peer.login_request(tag=5).build()[:63])
    assert peer.receive() == [LoginReject(5, Reason.UNABLE_TO_ESTABLISH_CHANNEL, 6)]
    bench.assert_at_rest()
    bench.end()


def test_a_nexus_that_can_not_be_opened(bench: "Bench") -> None:
    bench.host.failure = TgtError("as the test wants")
    peer = bench.peer()
    assert peer.log_in() == LoginReject(1, Reason.INSUFFICIENT_RESOURCES, 6)
    bench.assert_at_rest()
    bench.end()


def test_nobody_gets_in_while_the_transport_does_not_listen(bench: "Bench") -> None:
    bench.port.listening = False
    assert bench.peer().log_in() == LoginReject(1, Reason.UNABLE_TO_ESTABLISH_CHANNEL, 6)
    bench.port.listening = True
    bench.session(2)
    bench.end()


def test_no_memory_for_the_requests_of_a_channel(make_bench: "Callable[..., Bench]") -> None:
    """Nothing is promised that is not there."""
    bench = make_bench((12 + 4) * 4096)
    bench.session(1)
    peer = bench.peer(2)
    assert peer.log_in() == LoginReject(1, Reason.INSUFFICIENT_RESOURCES, 6)
    with pytest.raises(MemoryError, match="channel 3: there is no memory for a login"):
        bench.peer(3)
    bench.assert_at_rest()
    bench.end()


def test_a_machine_without_memory(make_bench: "Callable[..., Bench]") -> None:
    left = 4

    def make(length: int) -> bytearray:
        nonlocal left
        if left == 0:
            raise MemoryError
        left -= 1
        return bytearray(length)

    bench = make_bench(memory=Memory(1 << 20, make))
    assert bench.peer().log_in() == LoginReject(1, Reason.INSUFFICIENT_RESOURCES, 6)
    with pytest.raises(MemoryError):
        bench.peer(2)
    assert bench.memory.refusals == 2 + 8 + 3 - 1
    bench.end()


def test_a_logout_is_told_to_the_core(bench: "Bench") -> None:
    peer = bench.session()
    session = peer.channel.session
    assert session is not None
    peer.send(InitiatorLogout(5).build())
    assert session.nexus.logged_out
    assert (peer.gone, peer.receive()) == (True, [])
    bench.end()


def test_a_channel_that_is_lost_is_no_logout(bench: "Bench") -> None:
    peer = bench.session()
    session = peer.channel.session
    assert session is not None
    peer.fabric.lose()
    assert not session.nexus.logged_out
    assert session.nexus.closed
    bench.end()


def test_a_new_login_takes_the_place_of_the_session(bench: "Bench") -> None:
    """Not before the last command of the old one has ended."""
    former = bench.session(may_request=True)
    former.command(1, HELD)
    peer = bench.peer()
    peer.send(peer.login_request().build())
    assert former.receive() == [TargetLogout(1, LogoutReason.MULTI_CHANNEL_ACTION)]
    assert (former.channel.state, peer.channel.state) == (State.ENDING, State.LOGGING_IN)
    assert peer.receive() == []
    bench.device().release()
    (answer,) = peer.receive()
    assert isinstance(answer, LoginResponse)
    assert answer.channels == Result.TERMINATED
    assert former.gone
    peer.command(1, READY)
    assert peer.answer().status == 0
    bench.assert_at_rest()
    bench.end()


def test_a_new_login_after_a_lost_channel_waits_too(bench: "Bench") -> None:
    former = bench.session()
    former.command(1, HELD)
    former.fabric.lose()
    assert len(bench.port.sessions()) == 1
    peer = bench.peer()
    peer.send(peer.login_request().build())
    assert peer.receive() == []
    bench.device().release()
    (answer,) = peer.receive()
    assert isinstance(answer, LoginResponse)
    assert answer.channels == Result.NO_CHANNELS
    bench.end()


def test_rdma_of_the_old_session_is_over_before_the_new_one_begins(bench: "Bench") -> None:
    former = bench.session()
    former.fabric.moves = None
    former.fabric.ends_at_once = False
    former.command(1, read(64), room=64)
    peer = bench.peer()
    peer.send(peer.login_request().build())
    assert former.fabric.disconnected
    assert peer.receive() == []
    former.fabric.lose()
    assert isinstance(peer.receive()[0], LoginResponse)
    bench.end()


def test_two_logins_that_wait_for_one_session(bench: "Bench") -> None:
    """Each ends what was there before it; the last one stays."""
    former = bench.session()
    former.command(1, HELD)
    peers = [bench.peer(), bench.peer(), bench.peer()]
    for peer in peers:
        peer.send(peer.login_request().build())
    peers[1].fabric.lose()
    bench.device().release()
    assert [peer.channel.state for peer in peers] == [State.GONE, State.GONE, State.LOGGED_IN]
    assert len(bench.port.sessions()) == 1
    peers[2].receive()
    bench.assert_at_rest()
    bench.end()


# ---- several channels -----------------------------------------------------------------------------------------------------


def test_channels_of_one_session(make_bench: "Callable[..., Bench]") -> None:
    bench = make_bench(channels_max=2)
    peers = [bench.peer() for _ in range(3)]
    answers = [peer.log_in(flags=Action.MULTI) for peer in peers]
    assert [getattr(answer, "channels", None) for answer in answers] == [Result.NO_CHANNELS, Result.MAINTAINED, None]
    assert answers[2] == LoginReject(1, Reason.CHANNEL_LIMIT_REACHED, 6)
    (session,) = bench.port.sessions()
    assert session.channels == [peers[0].channel, peers[1].channel]
    assert len(bench.host.target.nexuses) == 1
    peers[0].command(1, READY)
    peers[1].command(1, READY)
    assert [peer.answer().tag for peer in peers[:2]] == [1, 1]
    bench.assert_at_rest()
    bench.end()


def test_the_nexus_goes_with_the_last_channel(make_bench: "Callable[..., Bench]") -> None:
    """A channel that ends takes its own commands along, and no others."""
    bench = make_bench(channels_max=2)
    peers = [bench.peer(), bench.peer()]
    for peer in peers:
        peer.log_in(flags=Action.MULTI)
    peers[0].command(1, HELD)
    peers[1].command(2, HELD)
    peers[0].send(InitiatorLogout(5).build())
    (session,) = bench.port.sessions()
    assert not session.nexus.logged_out
    assert not peers[0].gone
    bench.device().release()
    assert peers[0].gone
    assert [answer.tag for answer in peers[1].answers()] == [2]
    assert peers[0].receive() == []
    peers[1].send(InitiatorLogout(5).build())
    assert session.nexus.logged_out
    assert bench.port.sessions() == []
    bench.end()


def test_a_command_whose_channel_ends_while_its_table_comes(make_bench: "Callable[..., Bench]") -> None:
    """It is not performed, although the session goes on."""
    bench = make_bench(channels_max=2)
    peers = [bench.peer(), bench.peer()]
    for peer in peers:
        peer.log_in(flags=Action.MULTI)
        peer.fabric.moves = None
        peer.fabric.ends_at_once = False
    table = build_table((Segment(0, KEY, 64),))
    peers[0].fabric.ram[8192:8208] = table
    buffer = BufferDescriptor.indirect(Segment(8192, KEY, 16), (Segment(0, KEY, 64),), 0)
    peers[0].request(Command(1, 0, 0, write(64).ljust(16, b"\0"), 0, buffer).build())
    peers[0].command(2, READY)
    peers[0].channel.disconnect("as the test wants")
    peers[0].fabric.move()
    assert (peers[0].fabric.moving, peers[0].receive()) == ([], [])
    assert bench.memory.data_bytes == 0
    peers[0].fabric.lose()
    assert (peers[0].gone, peers[1].gone) == (True, False)
    bench.end()


def test_a_login_for_one_channel_ends_all_others(make_bench: "Callable[..., Bench]") -> None:
    bench = make_bench(channels_max=2)
    peers = [bench.peer(), bench.peer(), bench.peer()]
    for peer in peers[:2]:
        peer.log_in(flags=Action.MULTI)
    answer = peers[2].log_in()
    assert isinstance(answer, LoginResponse)
    assert answer.channels == Result.TERMINATED
    assert [peer.gone for peer in peers] == [True, True, False]
    bench.end()


# ---- ends -----------------------------------------------------------------------------------------------------------------


def test_a_session_is_dropped(bench: "Bench") -> None:
    """What was answered before is heard; the end is told when the last command has ended."""
    peer, other = bench.session(1, may_request=True), bench.session(2)
    peer.command(1, HELD)
    peer.command(2, READY)
    over: list[bool] = []
    bench.port.drop([peer.channel.session], "as the test wants", lambda: over.append(True))  # type: ignore[list-item]
    answer, logout = peer.receive()
    assert (answer.tag, logout) == (2, TargetLogout(1, LogoutReason.NONE))
    assert over == []
    bench.device().release()
    assert over == [True]
    assert (peer.gone, other.gone) == (True, False)
    bench.end()


def test_dropping_nothing_is_over_at_once(bench: "Bench") -> None:
    over: list[bool] = []
    bench.port.drop([], "as the test wants", lambda: over.append(True))
    assert over == [True]
    bench.end()


def test_a_nexus_that_the_core_has_closed(bench: "Bench") -> None:
    """The next command finds that out, and the channel ends: an initiator is not left without answers."""
    peer = bench.session(may_request=True)
    session = peer.channel.session
    assert session is not None
    session.nexus.close(lambda: None)
    peer.command(1, READY)
    assert peer.receive() == [TargetLogout(1, LogoutReason.NONE)]
    assert peer.gone
    bench.end()
