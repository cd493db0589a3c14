"""What a channel does in each of its states with everything that can happen: a table, and a run for each line."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.login import LoginReject, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import LogoutReason, RejectReason, TaskManagementFunction
from tgtcore_srp.iu.others import CreditResponse, EventResponse, InitiatorLogout, TargetLogout
from tgtcore_srp.iu.response import Response
from tgtcore_srp.states import State

from tgtcore.testing.host import HELD, READY, read

if TYPE_CHECKING:
    from conftest import Bench, Peer

KEY = 0x5A5A

# ---- how a channel comes into each state -----------------------------------------------------------------------------------


def _new(bench: "Bench") -> "Peer":
    return bench.peer(may_request=True)


def _logging_in(bench: "Bench") -> "Peer":
    """A session of the same ports has a command that does not end."""
    former = bench.session()
    former.command(1, HELD)
    peer = bench.peer(may_request=True)
    peer.send(peer.login_request().build())
    return peer


def _logged_in(bench: "Bench") -> "Peer":
    return bench.session(may_request=True)


def _holding(bench: "Bench") -> "Peer":
    """A command's table is on its way."""
    peer = bench.session(may_request=True)
    peer.fabric.moves = None
    table = Segment(4096, KEY, 32)
    buffer = BufferDescriptor.indirect(table, (Segment(0, KEY, 8), Segment(64, KEY, 8)), 0)
    peer.request(Command(99, 0, 0, read(16).ljust(16, b"\0"), 0, None, buffer).build())
    return peer


def _ending(bench: "Bench") -> "Peer":
    peer = bench.session(may_request=True)
    peer.fabric.ends_at_once = False
    peer.channel.disconnect("as the test wants")
    peer.receive()
    return peer


def _gone(bench: "Bench") -> "Peer":
    peer = bench.session(may_request=True)
    peer.fabric.lose()
    return peer


STATES: dict[str, Callable[["Bench"], "Peer"]] = {
    "new": _new,
    "logging in": _logging_in,
    "logged in": _logged_in,
    "holding": _holding,
    "ending": _ending,
    "gone": _gone,
}

# ---- what happens --------------------------------------------------------------------------------------------------------


def _unit(build: Callable[["Peer"], bytes]) -> Callable[["Peer"], None]:
    def happens(peer: "Peer") -> None:
        there = not peer.gone
        assert peer.send(build(peer)) is there

    return happens


EVENTS: dict[str, Callable[["Peer"], object]] = {
    "SRP_LOGIN_REQ": _unit(lambda peer: peer.login_request(tag=5).build()),
    "SRP_TSK_MGMT": _unit(lambda _: TaskManagement(5, 0, TaskManagementFunction.LOGICAL_UNIT_RESET).build()),
    "SRP_CMD": _unit(lambda _: Command(5, 0, 0, READY.ljust(16, b"\0")).build()),
    "SRP_I_LOGOUT": _unit(lambda _: InitiatorLogout(5).build()),
    "SRP_CRED_RSP": _unit(lambda _: CreditResponse(5).build()),
    "SRP_AER_RSP": _unit(lambda _: EventResponse(5).build()),
    "SRP_RSP": _unit(lambda _: Response(5, 1).build()),
    "nonsense": _unit(lambda _: b"\x77" + bytes(40)),
    "cut": _unit(lambda _: bytes((2, 0, 0, 0, 0, 0, 0, 0, 0, 0))),
    "lost": lambda peer: peer.channel.lost(),
    "disconnect": lambda peer: peer.channel.disconnect("as the test wants"),
}


class Outcome(NamedTuple):
    """What comes of it.

    :param sent: kinds of information units, each with the field that says most.
    :param state: of the channel afterwards.
    """

    sent: tuple[tuple[type, int], ...]
    state: State


def _ends(reason: LogoutReason = LogoutReason.NONE) -> Outcome:
    return Outcome(((TargetLogout, reason),), State.GONE)


_REJECTED = LoginReject, RejectReason.UNABLE_TO_ESTABLISH_CHANNEL
_CLOSED = Outcome((), State.GONE)
_TYPE, _UNEXPECTED, _LENGTH = LogoutReason.INVALID_TYPE, LogoutReason.UNEXPECTED_RESPONSE, LogoutReason.INVALID_LENGTH

_BEFORE_LOGIN = dict.fromkeys(EVENTS, _CLOSED)
_WHILE_LOGGING_IN = dict.fromkeys(EVENTS, Outcome((_REJECTED,), State.GONE))

BOOK: dict[str, dict[str, Outcome]] = {
    "new": _BEFORE_LOGIN | {"SRP_LOGIN_REQ": Outcome(((LoginResponse, 8),), State.LOGGED_IN)},
    "logging in": _WHILE_LOGGING_IN | {"SRP_I_LOGOUT": _CLOSED, "lost": _CLOSED},
    "logged in": {
        "SRP_LOGIN_REQ": Outcome(((LoginReject, RejectReason.CHANNEL_LIMIT_REACHED),), State.LOGGED_IN),
        "SRP_TSK_MGMT": Outcome(((Response, 1),), State.LOGGED_IN),
        "SRP_CMD": Outcome(((Response, 1),), State.LOGGED_IN),
        "SRP_I_LOGOUT": _CLOSED,
        "SRP_CRED_RSP": _ends(_UNEXPECTED),
        "SRP_AER_RSP": _ends(_UNEXPECTED),
        "SRP_RSP": _ends(_TYPE),
        "nonsense": _ends(_TYPE),
        "cut": _ends(_LENGTH),
        "lost": _CLOSED,
        "disconnect": _ends(),
    },
    "holding": dict.fromkeys(EVENTS, Outcome((), State.LOGGED_IN)) | {"lost": _CLOSED, "disconnect": _ends()},
    "ending": dict.fromkeys(EVENTS, Outcome((), State.ENDING)) | {"lost": _CLOSED},
    "gone": dict.fromkeys(EVENTS, _CLOSED),
}

_SAYS = {
    LoginResponse: "delta",
    LoginReject: "reason",
    Response: "delta",
    TargetLogout: "reason",
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_the_book(bench: "Bench", state: str, event: str) -> None:
    peer = STATES[state](bench)
    EVENTS[event](peer)
    sent = tuple((type(unit), getattr(unit, _SAYS[type(unit)])) for unit in peer.receive())
    assert Outcome(sent, peer.channel.state) == BOOK[state][event]
    assert peer.gone is (peer.channel.state is State.GONE)
    bench.end()


def test_what_was_held_is_done_in_its_order(bench: "Bench") -> None:
    """A command whose table has to be fetched is not overtaken, nor does a function for it come too early."""
    peer = _holding(bench)
    peer.command(1, READY)
    peer.function(2, TaskManagementFunction.ABORT_TASK_SET)
    peer.command(3, READY)
    assert peer.receive() == []
    peer.fabric.ram[4096:4128] = b"".join(
        segment[0].to_bytes(8, "big") + segment[1].to_bytes(4, "big") + segment[2].to_bytes(4, "big")
        for segment in ((0, KEY, 8), (64, KEY, 8))
    )
    peer.fabric.moves = True
    peer.fabric.move()
    assert [answer.tag for answer in peer.answers()] == [99, 1, 2, 3]
    bench.assert_at_rest()
    bench.end()


def test_a_slot_that_could_not_be_filled(bench: "Bench") -> None:
    """The fabric gives it back, and ends the channel: a request is lost."""
    peer = bench.session()
    slot = peer.channel.slot()
    assert slot is not None
    peer.channel.discard(slot)
    assert peer.channel.slots.used == 0
    peer.channel.disconnect("what the initiator has sent can't be read")
    assert peer.gone
    bench.end()


def test_a_failure_of_our_own_ends_the_channel(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    """Nobody knows then what was done; other channels go on."""
    peer, other = bench.session(1), bench.session(2)
    session = peer.channel.session
    assert session is not None
    session.nexus.submit = None  # type: ignore[assignment, method-assign]
    peer.command(1, READY)
    assert (peer.receive(), peer.gone) == ([], True)
    assert "channel 1: failed at an information unit" in caplog.messages
    other.command(1, READY)
    assert other.answer().status == 0
    bench.end()
