"""Connection reinstatement: a session that goes on over another connection (RFC 7143 6.3.4)."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.initiator.pdu import login_status
from tgtcore_iscsi.pdu.codes import LoginStatus, Opcode
from tgtcore_iscsi.text import encode_pairs

from tgtcore import NexusInUse, PluginError

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

TARGET = "iqn.2026-11.org.example:disk"
INITIATOR = "iqn.2026-11.org.example:tester"
ISID = b"\x40\0\0\1\0\1"
WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))


def ask(client: "Client", tsih: int, *, cid: int = 0, initiator: str = INITIATOR, cmd_sn: int = 1) -> None:
    """Ask for a session at once, without authentication and negotiation."""
    pairs = [("InitiatorName", initiator), ("SessionType", "Normal"), ("TargetName", TARGET)]
    client.send(pdu.login_request(encode_pairs(pairs), flags=0x87, isid=ISID, tsih=tsih, cid=cid, cmd_sn=cmd_sn))
    client.cmd_sn = cmd_sn


async def answer(client: "Client") -> LoginStatus:
    return login_status((await client.receive()).fields)


def tsih_of(rig: "Rig") -> int:
    return int(rig.transport.sessions()[0].id)


async def test_the_session_and_its_nexus_go_on(rig: "Rig", client: "Client") -> None:
    await client.login(ISID)
    await client.ready()
    tsih, [nexus] = tsih_of(rig), rig.host.target.nexuses
    fresh = await type(client).connect(rig)
    ask(fresh, tsih, cmd_sn=77)
    assert await answer(fresh) is LoginStatus.SUCCESS
    assert await client.ended() == b""
    assert (await fresh.execute(bytes(6)))[0] == 0, "no unit attention: the nexus was not lost"
    assert tsih_of(rig) == tsih
    assert rig.host.target.nexuses == [nexus]
    fresh.close()


@pytest.mark.parametrize(
    ("reason", "status"),
    [(NexusInUse("wait"), LoginStatus.SERVICE_UNAVAILABLE), (PluginError("broken"), LoginStatus.TARGET_ERROR)],
)
async def test_who_can_have_no_nexus_now_is_told_at_the_login(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch, reason: Exception, status: LoginStatus
) -> None:
    """One that is logged in and loses its connection at once counts that against its commands."""

    def refuse(*_: object) -> None:
        raise reason

    with monkeypatch.context() as patch:
        patch.setattr(rig.host, "open_nexus", refuse)
        ask(client, 0)
        assert await answer(client) is status
        assert await client.ended() == b""
    assert rig.transport.sessions() == []
    fresh = await type(client).connect(rig)
    ask(fresh, 0)
    assert await answer(fresh) is LoginStatus.SUCCESS
    fresh.close()


async def test_tasks_of_the_old_connection_end_first(rig: "Rig", client: "Client") -> None:
    await client.login(ISID)
    await client.ready()
    rig.ram.gate.clear()
    client.command(WRITE, out=bytes(4096), immediate=4096)
    await rig.until(rig.lu.tasks)
    fresh = await type(client).connect(rig)
    ask(fresh, tsih_of(rig))
    assert await client.ended() == b"", "an aborted task is not answered"
    assert rig.lu.tasks(), "a worker is busy with it"
    rig.ram.gate.set()
    assert await answer(fresh) is LoginStatus.SUCCESS
    assert not rig.lu.tasks()
    fresh.close()


@pytest.mark.parametrize(
    ("off", "more", "status"),
    [
        (0, {"cid": 1}, LoginStatus.TOO_MANY_CONNECTIONS),
        (1, {}, LoginStatus.SESSION_DOES_NOT_EXIST),
        (0, {"initiator": "iqn.2026-11.org.example:stranger"}, LoginStatus.SESSION_DOES_NOT_EXIST),
    ],
)
async def test_only_its_own_connection_can_be_reinstated(
    rig: "Rig", client: "Client", off: int, more: dict[str, object], status: LoginStatus
) -> None:
    await client.login(ISID)
    await client.ready()
    other = await type(client).connect(rig)
    ask(other, tsih_of(rig) + off, **more)  # type: ignore[arg-type]
    assert await answer(other) is status
    assert (await client.execute(bytes(6)))[0] == 0
    other.close()


async def test_a_session_that_loses_both_connections_ends(rig: "Rig", client: "Client") -> None:
    await client.login(ISID)
    await client.ready()
    rig.ram.gate.clear()
    client.command(WRITE, out=bytes(4096), immediate=4096)
    await rig.until(rig.lu.tasks)
    fresh = await type(client).connect(rig)
    ask(fresh, tsih_of(rig))
    await client.ended()
    fresh.close()
    await rig.until(lambda: not rig.transport.statistics()["connections"])
    assert len(rig.transport.sessions()) == 1
    rig.ram.gate.set()
    await rig.until(lambda: not rig.transport.sessions())
    assert not rig.host.target.nexuses


async def test_a_session_reinstated_meanwhile_is_another_one(rig: "Rig", client: "Client") -> None:
    await client.login(ISID)
    await client.ready()
    tsih = tsih_of(rig)
    rig.ram.gate.clear()
    client.command(WRITE, out=bytes(4096), immediate=4096)
    await rig.until(rig.lu.tasks)
    second, third = await type(client).connect(rig), await type(client).connect(rig)
    ask(second, tsih)
    await client.ended()
    ask(third, 0)
    await asyncio.sleep(0)
    rig.ram.gate.set()
    outcomes = {await answer(second), await answer(third)}
    assert LoginStatus.SUCCESS in outcomes
    assert len(rig.transport.sessions()) == 1
    assert len(rig.host.target.nexuses) == 1
    second.close()
    third.close()


async def test_a_reinstated_connection_can_be_reinstated(rig: "Rig", client: "Client") -> None:
    await client.login(ISID)
    await client.ready()
    tsih = tsih_of(rig)
    for number in range(3):
        fresh = await type(client).connect(rig)
        ask(fresh, tsih, cmd_sn=100 * number)
        assert await answer(fresh) is LoginStatus.SUCCESS
        assert await client.ended() == b""
        client.close()
        client = fresh
    assert (await client.execute(bytes(6)))[0] == 0
    client.send(pdu.logout_request(0, itt=99, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    assert (await client.receive()).opcode is Opcode.LOGOUT_RESPONSE
    assert rig.transport.sessions() == []
    client.close()


async def test_an_attempt_that_is_lost_takes_nothing_from_the_next(rig: "Rig", client: "Client") -> None:
    await client.login(ISID)
    await client.ready()
    tsih, [nexus] = tsih_of(rig), rig.host.target.nexuses
    rig.ram.gate.clear()
    client.command(WRITE, out=bytes(4096), immediate=4096)
    await rig.until(rig.lu.tasks)
    second, third = await type(client).connect(rig), await type(client).connect(rig)
    ask(second, tsih)
    await client.ended()
    ask(third, tsih)
    await rig.until(lambda: rig.transport._sessions.by_id(tsih)[0].heirs == 2)  # type: ignore[index]
    second.close()
    await rig.until(lambda: rig.transport.statistics()["connections"] == 1)
    rig.ram.gate.set()
    assert await answer(third) is LoginStatus.SUCCESS
    assert rig.host.target.nexuses == [nexus]
    third.close()
