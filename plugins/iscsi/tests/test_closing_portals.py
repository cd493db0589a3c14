"""What a portal leaves behind that closes: sessions; and nothing that would become one."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.options import PortalOptions
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.text import encode_pairs

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio


async def all_portals(rig: "Rig") -> None:
    await rig.driver.stop_listening()


async def this_portal(rig: "Rig") -> None:
    await rig.driver.apply_options(rig.transport.options.model_copy(update={"portals": ()}))


async def another_portal(rig: "Rig") -> None:
    more = PortalOptions(address="127.0.0.1:0", group=2)
    options = rig.transport.options
    for portals in ((*options.portals, more), options.portals):
        await rig.driver.apply_options(options.model_copy(update={"portals": portals}))


Close = Callable[["Rig"], Awaitable[None]]
closing = pytest.mark.parametrize("close", [all_portals, this_portal], ids=lambda close: close.__name__)


async def begin_login(client: "Client") -> None:
    """The first half of a login."""
    pairs = [("InitiatorName", "iqn.2026-01.example:half"), ("SessionType", "Discovery"), ("AuthMethod", "None")]
    client.send(pdu.login_request(encode_pairs(pairs), flags=0x81, isid=b"\x40\0\0\1\0\2", cmd_sn=1))
    assert (await client.receive()).fields.status_class == 0


@closing
async def test_a_login_that_has_not_said_a_word_ends(rig: "Rig", client: "Client", close: Close) -> None:
    await rig.until(lambda: rig.transport.portals()[0].connections == 1)
    await close(rig)
    assert await client.ended() == b""


@closing
async def test_a_login_that_has_got_half_way_ends(rig: "Rig", client: "Client", close: Close) -> None:
    await begin_login(client)
    await close(rig)
    assert await client.ended() == b""
    assert rig.transport.sessions() == []


@closing
async def test_a_discovery_session_ends(rig: "Rig", client: "Client", close: Close) -> None:
    assert await client.login(discovery=True) is LoginStatus.SUCCESS
    await close(rig)
    assert await client.ended() == b""


@closing
async def test_a_session_goes_on(rig: "Rig", client: "Client", close: Close) -> None:
    assert await client.login() is LoginStatus.SUCCESS
    await client.ready()
    await close(rig)
    assert await client.execute(bytes(6)) == (0, b"")


async def test_a_login_through_another_portal_goes_on(rig: "Rig", client: "Client") -> None:
    await begin_login(client)
    await another_portal(rig)
    client.send(pdu.login_request(b"", flags=0x87, isid=b"\x40\0\0\1\0\2", cmd_sn=1, exp_stat_sn=1))
    assert (await client.receive()).fields.status_class == 0
