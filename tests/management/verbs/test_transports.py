"""Verbs on portals and sessions."""

import asyncio

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError

pytestmark = pytest.mark.asyncio


async def test_portals_are_listed_opened_and_closed(manage: Managed) -> None:
    await manage("portal add", address="two", transport="fake", group=2)
    assert [row["address"] for row in await manage("portal list")] == ["one", "two"]
    await manage("portal remove", address="one", transport="fake")
    assert manage.transport.open == ["two"]
    assert manage.daemon.config.document["transports"]["fake"]["portals"] == [{"address": "two", "group": 2}]


async def test_a_portal_can_go_while_its_transport_is_drained(manage: Managed) -> None:
    await manage("portal add", address="two", transport="fake")
    await manage("transport drain", transport="fake")
    assert manage.transport.open == []
    await manage("portal remove", address="one", transport="fake")
    await manage("portal drain", address="two", transport="fake")
    with pytest.raises(VerbError, match='no portal called "one"'):
        await manage("portal remove", address="one", transport="fake")
    await manage("transport reopen", transport="fake")
    assert manage.transport.open == []
    await manage("portal reopen", address="two", transport="fake")
    assert manage.transport.open == ["two"]


async def test_a_portal_that_can_not_be_opened_changes_nothing(manage: Managed) -> None:
    with pytest.raises(ConfigError, match="transport fake: portal taken"):
        await manage("portal add", address="taken", transport="fake")
    with pytest.raises(ConfigError, match="portal one is open already"):
        await manage("portal add", address="one", transport="fake")
    assert manage.transport.open == ["one"]


async def test_sessions_are_listed_and_dropped(manage: Managed) -> None:
    nexus = manage.transport.log_in("t.one", "host")
    assert nexus is not None
    (row,) = await manage("session list", target="t.one")
    assert (row["id"], row["initiator"], row["target"]) == ("host@t.one", "host", "t.one")
    assert await manage("session list", target="t.two") == []
    (row,) = await manage("session remove", id="host@t.one", transport="fake", force=True)
    assert (row["action"], row["kind"], row["name"]) == ("remove", "session", "host@t.one")
    assert nexus.closed
    assert await manage("session list") == []


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("session remove", {"id": "x", "transport": "fake"}),
        ("session remove", {"id": "x", "transport": "none"}),
        ("portal remove", {"address": "x", "transport": "fake"}),
        ("portal add", {"address": "x", "transport": "none"}),
    ],
)
async def test_what_is_not_there_is_its_own_error(manage: Managed, verb: str, arguments: dict[str, str]) -> None:
    with pytest.raises(VerbError) as caught:
        await manage(verb, **arguments)
    assert caught.value.code is Code.NOT_FOUND


async def test_portals_that_are_added_at_once_are_all_there(manage: Managed) -> None:
    names = ["two", "three", "four"]
    await asyncio.gather(*(manage("portal add", address=name, transport="fake") for name in names))
    assert manage.transport.open == ["one", *names]
