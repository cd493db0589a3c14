"""Every end that a command may come to while every kind of RDMA for it goes on: it has one answer at most, and nothing is left."""

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.opcodes import TaskManagementFunction as Function
from tgtcore_srp.iu.others import InitiatorLogout
from tgtcore_srp.iu.response import Response

from tgtcore.scsi.status import Status
from tgtcore.testing.host import content, read, write

if TYPE_CHECKING:
    from conftest import Bench, Peer

KEY = 0x5A5A
LENGTH = 64
TAG, FUNCTION_TAG = 1, 100


def _with_tables(cdb: bytes, out: bool, in_: bool) -> Callable[["Peer"], None]:
    def begin(peer: "Peer") -> None:
        pieces = Segment(0, KEY, 16), Segment(32, KEY, LENGTH - 16)
        peer.fabric.ram[8192:8224] = build_table(pieces)
        buffer = BufferDescriptor.indirect(Segment(8192, KEY, 32), pieces, 0)
        buffers = buffer if out else None, buffer if in_ else None
        peer.request(Command(TAG, 0, 0, cdb.ljust(16, b"\0"), 0, *buffers).build())

    return begin


KINDS: dict[str, Callable[["Peer"], None]] = {
    "data-out": lambda peer: peer.command(TAG, write(LENGTH), content(LENGTH)),
    "data-in": lambda peer: peer.command(TAG, read(LENGTH), room=LENGTH),
    "table of data-out": _with_tables(write(LENGTH), True, False),
    "table of data-in": _with_tables(read(LENGTH), False, True),
    "two tables": _with_tables(read(LENGTH), True, True),
}

Ending = Callable[["Bench", "Peer", "Peer"], None]


def _in_silence(bench: "Bench", peer: "Peer", other: "Peer") -> None:
    bench.host.lus[0].task_aborted_status = False
    other.function(FUNCTION_TAG, Function.LOGICAL_UNIT_RESET)


def _unmap(bench: "Bench", peer: "Peer", other: "Peer") -> None:
    target = bench.host.target
    target.unmap(0, lambda: target.map(0, bench.host.lus[0]))


def _log_out(bench: "Bench", peer: "Peer", other: "Peer") -> None:
    peer.send(InitiatorLogout(5).build())


def _log_in_anew(bench: "Bench", peer: "Peer", other: "Peer") -> None:
    again = bench.peer(1)
    again.send(again.login_request().build())


ENDS: dict[str, Ending] = {
    "nothing": lambda bench, peer, other: None,
    "it is aborted": lambda bench, peer, other: peer.function(FUNCTION_TAG, Function.ABORT_TASK, TAG),
    "its task set is aborted": lambda bench, peer, other: peer.function(FUNCTION_TAG, Function.ABORT_TASK_SET),
    "it resets its LUN": lambda bench, peer, other: peer.function(FUNCTION_TAG, Function.LOGICAL_UNIT_RESET),
    "another one resets its LUN": lambda bench, peer, other: other.function(FUNCTION_TAG, Function.LOGICAL_UNIT_RESET),
    "another one does, without TAS": _in_silence,
    "its tag is used again": lambda bench, peer, other: peer.command(TAG, read(1), room=1, at=4096),
    "its LUN is unmapped": _unmap,
    "its LUN is hidden": lambda bench, peer, other: _hide(bench),
    "the target drains": lambda bench, peer, other: bench.host.target.leases.shut(),
    "its logical unit drains": lambda bench, peer, other: bench.host.lus[0].leases.shut(),
    "it logs out": _log_out,
    "it logs in anew": _log_in_anew,
    "its channel is lost": lambda bench, peer, other: peer.fabric.lose(),
    "its channel is ended": lambda bench, peer, other: peer.channel.disconnect("as the test wants"),
    "its session is dropped": lambda bench, peer, other: bench.port.drop(
        [one for one in bench.port.sessions() if one.channels == [peer.channel]], "as the test wants", lambda: None
    ),
    "all sessions end": lambda bench, peer, other: bench.port.close("as the test wants", lambda: None),
}


def _hide(bench: "Bench") -> None:
    target = bench.host.target
    target.hide(0, target.luns)


OWN_FUNCTIONS = ("it is aborted", "its task set is aborted", "it resets its LUN")
IN_SILENCE = (*OWN_FUNCTIONS, "another one does, without TAS")
"""It may have no answer at all."""

SECONDS = (None, "another one resets its LUN", "its channel is lost", "its channel is ended")
"""What comes besides."""

OUTCOMES = (True, False, None)
"""RDMA succeeds, fails, or is over with the channel."""


class Watch:
    """Counts the answers of an initiator."""

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.answers: dict[int, list[Response]] = {}

    def look(self) -> None:
        for unit in self.peer.receive():
            if isinstance(unit, Response):
                self.answers.setdefault(unit.tag, []).append(unit)


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_it_has_one_answer_at_most(
    make_bench: "Callable[[], Bench]", kind: Callable[["Peer"], None], ends: Ending
) -> None:
    for second, outcome in product(SECONDS, OUTCOMES):
        _check(make_bench(), kind, ends, second, outcome)


def _check(
    bench: "Bench", kind: Callable[["Peer"], None], ends: Ending, second: str | None, outcome: bool | None
) -> None:
    peer, other = (bench.session(number, transfer_bytes_max=LENGTH * 2) for number in (1, 2))
    watches = [Watch(peer), Watch(other)]
    peer.fabric.moves = None
    peer.fabric.ends_at_once = False
    kind(peer)
    assert peer.fabric.moving
    ends(bench, peer, other)
    if second is not None and other.channel.is_logged_in:
        ENDS[second](bench, peer, other)
    for _ in range(6):
        for watch in watches:
            watch.look()
        if outcome is None:
            if not peer.gone and peer.fabric.moving:
                peer.fabric.lose()
        elif peer.fabric.moving:
            peer.fabric.move(outcome)
        for lun in range(2):
            bench.device(lun).release()
    if peer.fabric.disconnected and not peer.gone:
        peer.fabric.lose()
    for watch in watches:
        watch.look()
    name = next(one for one in ENDS if ENDS[one] is ends)
    if peer.channel.is_logged_in:
        silent, twice = name in IN_SILENCE, name == "its tag is used again"
        assert len(watches[0].answers.get(TAG, [])) in range(not silent, 2 + twice)
        assert len(watches[0].answers.get(FUNCTION_TAG, [])) == (name in OWN_FUNCTIONS)
        if name == "nothing" and second is None:
            assert watches[0].answers[TAG][0].status == (Status.GOOD if outcome else Status.CHECK_CONDITION)
    if other.channel.is_logged_in:
        resets = [name, second].count("another one resets its LUN") + (name == "another one does, without TAS")
        assert len(watches[1].answers.get(FUNCTION_TAG, [])) == resets
    for one in bench.peers[2:]:
        one.receive()
    bench.assert_at_rest()
    bench.end()
