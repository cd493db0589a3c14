"""What a transport in a process of its own asks the core, and what becomes of the answers."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from isolation.counterpart import Counterpart, Said, counterpart, settled

from tgtcore import Account
from tgtcore.errors import Draining, NexusInUse, PluginError, RingError
from tgtcore.isolation.remote_host import RemoteHost
from tgtcore.nexus import InitiatorPort, TargetPort
from tgtcore.options import NoOptions
from tgtcore.ring import OpenStatus, Request, Response, send_socket, words
from tgtcore.target import Target

PORT = InitiatorPort("host", b"id", "10.0.0.1")
TARGET_PORT = TargetPort("port", 2, 3, 5)


class Made:
    """A host, and the core that it asks."""

    def __init__(self, core: Counterpart) -> None:
        self.core = core
        self.host = RemoteHost(asyncio.get_running_loop())
        self.host.correspondent = core.correspondent
        self.host.link = core.far_link
        self.host.known[7] = core.target
        core.target.tid = 7
        self.asked: list[Said] = []

    def answers(
        self, request: Request, response: Response, before: Callable[[Said], None] = lambda _: None, **fields: Any
    ) -> None:
        """What the core answers to a kind of request."""

        def answer(said: Said) -> None:
            self.asked.append(said)
            before(said)
            self.core.say(response, id=said.id, **fields)

        self.core.answers[request] = answer


@pytest_asyncio.fixture
async def made() -> AsyncIterator[Made]:
    async with counterpart() as core:
        yield Made(core)


@pytest.mark.asyncio
async def test_it_knows_its_targets(made: Made) -> None:
    other = made.host.known[8] = Target("other", 8, "tested", NoOptions())
    assert list(made.host.targets()) == [made.core.target, other]
    assert made.host.find_target("other") is other
    assert made.host.find_target("none") is None


# ---- questions --------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("admitted", [0, 1])
async def test_the_core_admits(made: Made, admitted: int) -> None:
    made.answers(Request.ADMIT, Response.ADMITTED, admitted=admitted)
    assert made.host.admits(made.core.target, PORT, "portal") is bool(admitted)
    (asked,) = made.asked
    assert asked.fields["target"] == 7
    assert words.split(asked.payload, 4) == [b"host", b"10.0.0.1", b"id", b"portal"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "port",
    [
        InitiatorPort("n" * 224, b"id"),
        InitiatorPort("\x1b[2J", b"id"),
        InitiatorPort("n\ud800", b"id"),
        InitiatorPort("n", b"id", "a" * 5000),
        InitiatorPort("n", b""),
    ],
)
async def test_an_initiator_that_can_not_be_costs_nobody_else_anything(
    made: Made, port: InitiatorPort, caplog: pytest.LogCaptureFixture
) -> None:
    """The core would drop the driver."""
    assert made.host.admits(made.core.target, port, "portal") is False
    with pytest.raises(RingError):
        made.host.open_nexus(made.core.target, port, TARGET_PORT)
    await made.core.heard()
    assert "is not admitted to target t" in caplog.text
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert not made.core.target.nexuses


@pytest.mark.asyncio
async def test_a_core_that_has_gone_admits_nobody(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    made.core.answers[Request.ADMIT] = lambda said: made.core.link.close()
    assert made.host.admits(made.core.target, PORT, "portal") is False
    assert caplog.messages == ["host is not admitted to target t: the core is gone"]


@pytest.mark.asyncio
async def test_accounts_are_found_with_their_secret_which_does_not_stay(made: Made) -> None:
    def found(said: Said) -> None:
        assert (said.payload, said.fields["room"]) == (b"alice", 4096)
        text = words.join((b"alice's name", b"\0secret\xff"))
        made.core.end.piece(said.fields["offset"], len(text))[:] = text

    made.answers(Request.ACCOUNT, Response.ACCOUNT_FOUND, found, found=1)
    assert made.host.account("alice") == Account("alice's name", b"\0secret\xff")
    assert not any(made.core.memory.data)


@pytest.mark.asyncio
async def test_accounts_that_there_are_not_are_none(made: Made) -> None:
    made.answers(Request.ACCOUNT, Response.ACCOUNT_FOUND)
    assert made.host.account("bob") is None
    assert made.host.account("") is None
    assert made.host.account("b\ud800b") is None
    assert [one.payload for one in made.asked] == [b"bob", b"", b"b?b"]
    assert made.host.account("x" * 4097) is None
    assert len(made.asked) == 3


@pytest.mark.asyncio
async def test_a_socket_that_listens_comes_over_the_link(made: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.answers(
            Request.INHERIT,
            Response.INHERITED,
            lambda said: send_socket(made.core.link, said.payload.decode(), listening),
            found=1,
        )
        inherited = made.host.inherited("here")
        assert inherited is not None
        with inherited:
            assert inherited.getsockname() == listening.getsockname()


@pytest.mark.asyncio
async def test_a_socket_that_there_is_not_is_none(made: Made) -> None:
    made.answers(Request.INHERIT, Response.INHERITED)
    assert made.host.inherited("nowhere") is None
    assert made.asked[0].payload == b"nowhere"


# ---- nexuses ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_nexus_is_opened_with_all_that_the_core_must_know(made: Made) -> None:
    made.answers(Request.NEXUS_OPEN, Response.NEXUS_OPENED)
    target = made.core.target
    first, second = (made.host.open_nexus(target, PORT, TARGET_PORT) for _ in range(2))
    assert target.nexuses == [first, second]
    asked = made.asked[1].fields
    assert {"protocol": 5, "relative_id": 2, "nexus": 2, "target": 7, "group": 3}.items() <= asked.items()
    assert words.split(made.asked[0].payload, 4) == [b"host", b"10.0.0.1", b"id", b"port"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (OpenStatus.TARGET_GOING_AWAY, Draining),
        (OpenStatus.NEXUS_IN_USE, NexusInUse),
        (OpenStatus.FAILED, PluginError),
        (77, PluginError),
    ],
)
async def test_the_core_says_why_a_nexus_does_not_open(made: Made, status: int, kind: type[Exception]) -> None:
    made.answers(Request.NEXUS_OPEN, Response.NEXUS_OPENED, status=status, text_length=7, text="for é.beyond".encode())
    with pytest.raises(kind, match=r"^for é\.$"):
        made.host.open_nexus(made.core.target, PORT, TARGET_PORT)
    assert not made.core.target.nexuses


@pytest.mark.asyncio
async def test_a_target_that_goes_away_is_not_asked_about(made: Made) -> None:
    made.core.target.leases.shut()
    with pytest.raises(Draining, match="target t is going away"):
        made.host.open_nexus(made.core.target, PORT, TARGET_PORT)
    await made.core.heard()


@pytest.mark.asyncio
@pytest.mark.parametrize("port", [TargetPort("", 1, 1, 5), TargetPort("p", 0, 1, 5), TargetPort("p" * 300, 1, 1, 5)])
async def test_a_target_port_that_can_not_be_is_not_told(made: Made, port: TargetPort) -> None:
    with pytest.raises(RingError, match="there can be no target port"):
        made.host.open_nexus(made.core.target, PORT, port)
    await made.core.heard()


@pytest.mark.asyncio
async def test_a_nexus_that_opens_too_late_is_closed_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Said] = []
    made.core.answers[Request.NEXUS_OPEN] = asked.append
    monkeypatch.setattr("tgtcore.isolation.enquiries._ANSWER_S", 0.01)
    with pytest.raises(RingError, match="the core does not answer"):
        made.host.open_nexus(made.core.target, PORT, TARGET_PORT)
    assert not made.core.target.nexuses
    made.core.say(Response.NEXUS_OPENED, id=asked[0].id)
    (close,) = await made.core.heard(Request.NEXUS_CLOSE)
    assert close.fields["nexus"] == asked[0].fields["nexus"]
    made.core.say(Response.NEXUS_CLOSED, id=close.id)
    await settled()
    assert made.core.correspondent.end.unanswered == 0
