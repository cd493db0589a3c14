"""Logins of every kind through the whole transport: text, headers and their pieces, with and without a secret to know."""

import gc
import resource
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tgtcore_iscsi.initiator.pdu import login_request, parse_response
from tgtcore_iscsi.keys import KEYS
from tgtcore_iscsi.options import IscsiTargetOptions
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.text import encode_pairs

from tgtcore import Account

if TYPE_CHECKING:
    from conftest import Bench, Peer

MakeBench = Callable[..., "Bench"]

INITIATOR = "iqn.2026-11.org.example:tester"
TARGET = "iqn.2026-11.org.example:disk"
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
TO_OPERATIONAL, TO_FULL_FEATURE, SECURITY_TO_FULL_FEATURE = 0x81, 0x87, 0x83
REJECTED_LOGINS = 100_000
GROWTH_BYTES_MAX = 8 * 1024 * 1024


class Request(NamedTuple):
    """One login request: its keys, its flags, and one word of its header that may be off by something."""

    names: bool
    pairs: tuple[tuple[str, str], ...]
    flags: int
    word: int
    change: int
    cut: int

    def encode(self) -> bytes:
        named = [("InitiatorName", INITIATOR), ("TargetName", TARGET)] if self.names else []
        request = login_request(encode_pairs([*named, *self.pairs]), flags=self.flags)
        value = int.from_bytes(request[self.word : self.word + 4], "big") + self.change & 0xFFFFFFFF
        return request[: self.word] + value.to_bytes(4, "big") + request[self.word + 4 :]


VALUES = st.sampled_from(
    [
        "Yes", "No", "None", "CRC32C", "CRC32C,None", "CHAP", "CHAP,None", "512", "0", "16777215", "0x400", "5,6,7,8",
        "0b", "0bAAAA", "0x" + "ab" * 32, "Reject", "Irrelevant", "NotUnderstood", "Discovery", "Normal", "user", "", "%n%s",
    ]
)  # fmt: skip
PAIRS = st.lists(
    st.tuples(st.sampled_from([*KEYS, "X-com.example", "a"]), VALUES | st.text(max_size=12)), max_size=5
).map(tuple)
REQUEST = st.builds(
    Request,
    st.booleans(),
    PAIRS,
    st.sampled_from([0x00, 0x04, 0x40, 0x44, TO_OPERATIONAL, TO_FULL_FEATURE, SECURITY_TO_FULL_FEATURE])
    | st.integers(0, 255),
    st.sampled_from(range(0, 48, 4)),
    st.sampled_from([0, 0, 0, 0, 1, -1, 4, 1 << 8, 1 << 16, 1 << 24, 1 << 30, -(1 << 30)]),
    st.sampled_from([1 << 30, 1 << 30, 47, 48, 49, 100]),
)


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def converse(scene: "Bench", peer: "Peer", requests: list[Request]) -> None:
    """Send request after request, in pieces or whole, as long as anybody listens."""
    for request in requests:
        if not peer.alive:
            return
        data = request.encode()
        peer.deliver(data[: request.cut])
        peer.deliver(data[request.cut :])
        assert peer.connection.inbound.capacity <= 64 * 1024 or peer.connection.session_phase is not None
        assert peer.connection.outbound_bytes == 0


@pytest.mark.fuzz
@pytest.mark.timeout(900)
@FUZZ
@given(requests=st.lists(REQUEST, min_size=1, max_size=6))
def test_whoever_gets_in_has_a_session_and_nobody_else(bench: MakeBench, requests: list[Request]) -> None:
    scene = bench()
    neighbour = scene.peer()
    neighbour.log_in(2)
    peer = scene.peer()
    first = requests[0]._replace(names=True)
    converse(scene, peer, [first, *requests[1:]])
    sessions = scene.transport.sessions()
    phase = peer.connection.session_phase
    inside = peer.alive and phase is not None and phase.session.target is not None
    assert len(sessions) == 1 + inside
    scene.assert_at_rest()


@pytest.mark.fuzz
@pytest.mark.timeout(900)
@FUZZ
@given(requests=st.lists(REQUEST, min_size=1, max_size=6))
def test_nobody_gets_in_without_the_secret(bench: MakeBench, requests: list[Request]) -> None:
    scene = bench()
    scene.host.accounts["user"] = Account("user", b"a secret nobody guesses")
    scene.host.target.options = IscsiTargetOptions(auth=("user",))
    peer = scene.peer()
    first = requests[0]._replace(names=True)
    converse(scene, peer, [first, *requests[1:]])
    assert scene.transport.sessions() == []
    assert not scene.host.target.nexuses
    scene.assert_at_rest()


@pytest.mark.fuzz
@pytest.mark.timeout(900)
def test_100_000_rejected_logins_leave_nothing(bench: MakeBench) -> None:
    scene = bench()
    neighbour = scene.peer()
    neighbour.log_in(2)
    request = login_request(
        encode_pairs([("InitiatorName", INITIATOR), ("TargetName", TARGET + "x")]), flags=TO_FULL_FEATURE
    )
    held: list[int] = []
    for number in range(REJECTED_LOGINS):
        peer = scene.peer()
        peer.deliver(request)
        assert not peer.alive
        status = parse_response(peer.socket.taken()[:48]).fields
        assert status.status_class << 8 | status.status_detail == LoginStatus.NOT_FOUND
        scene.peers.pop()
        if number % 1000 == 0:
            gc.collect()
            held.append(resident_bytes())
    assert held[-1] - held[10] <= GROWTH_BYTES_MAX
    assert len(scene.transport.sessions()) == 1
    scene.assert_at_rest()
