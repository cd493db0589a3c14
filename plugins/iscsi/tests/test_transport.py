"""Sessions over real sockets: login, commands, data in every way it can travel, and the end."""

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.codes import NO_TAG, LoginStatus, Opcode

from tgtcore import Draining

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

BLOCK = 512


def read_10(lba: int, blocks: int) -> bytes:
    return bytes((0x28, 0)) + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"


def write_10(lba: int, blocks: int) -> bytes:
    return b"\x2a" + read_10(lba, blocks)[1:]


async def test_a_session_from_login_to_logout(rig: "Rig", client: "Client") -> None:
    assert await client.login() is LoginStatus.SUCCESS
    await client.ready()
    client.send(pdu.logout_request(0, itt=99, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    response = await client.receive()
    assert response.opcode is Opcode.LOGOUT_RESPONSE
    assert response.fields.response == 0
    assert await client.ended() == b""
    assert rig.transport.sessions() == []


async def test_a_nexus_tells_a_logout_from_a_loss(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    [left] = rig.host.target.nexuses
    client.send(pdu.logout_request(0, itt=99, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    assert (await client.receive()).opcode is Opcode.LOGOUT_RESPONSE
    other = await type(client).connect(rig)
    await other.login()
    [lost] = rig.host.target.nexuses
    other.close()
    await rig.until(lambda: not rig.host.target.nexuses)
    assert (left.logged_out, lost.logged_out) == (True, False)


@pytest.mark.parametrize("immediate", [0, 512, 4096, 65536])
@pytest.mark.parametrize("blocks", [8, 128, 1024, 8192])
async def test_what_is_written_is_read_back(rig: "Rig", client: "Client", blocks: int, immediate: int) -> None:
    await client.login()
    await client.ready()
    content = os.urandom(blocks * BLOCK)
    assert await client.execute(write_10(7, blocks), out=content, immediate=immediate) == (0, b"")
    assert bytes(rig.ram.content[7 * BLOCK : (7 + blocks) * BLOCK]) == content
    assert await client.execute(read_10(7, blocks), room=len(content)) == (0, content)


async def test_unsolicited_data_follows_the_command(rig: "Rig", client: "Client") -> None:
    await client.login(FirstBurstLength="65536")
    await client.ready()
    content = os.urandom(256 * BLOCK)
    itt = client.command(write_10(0, 256), out=content, immediate=4096, final=0)
    client.data(itt, content, 4096, 65536, ttt=NO_TAG, piece=8192)
    r2t = await client.receive()
    assert r2t.opcode is Opcode.R2T
    assert (r2t.fields.buffer_offset, r2t.fields.desired_length) == (65536, 65536)
    client.data(itt, content, 65536, 131072, ttt=r2t.fields.ttt)
    response = await client.receive()
    assert response.opcode is Opcode.SCSI_RESPONSE
    assert response.fields.status == 0
    assert bytes(rig.ram.content[: len(content)]) == content


async def test_many_commands_at_once_are_answered_once_each(rig: "Rig", client: "Client") -> None:
    rig.ram.nowait = False
    await client.login()
    await client.ready()
    sent = [client.command(read_10(n, 8), room=8 * BLOCK) for n in range(100)]
    answered = [(await client.receive()).fields.itt for _ in sent]
    assert sorted(answered) == sent


async def test_residuals_are_counted(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    client.command(read_10(0, 8), room=8192)
    response = await client.receive()
    assert (response.fields.flags & 0x06, response.fields.residual) == (0x02, 4096)
    client.command(read_10(0, 8), room=1024)
    response = await client.receive()
    assert (response.fields.flags & 0x06, response.fields.residual) == (0x04, 3072)
    assert len(response.data) == 1024


async def test_errors_carry_sense_data(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    status, segment = await client.execute(read_10(0x7FFFFFFF, 8), room=4096)
    assert status == 2
    assert segment[:2] == (len(segment) - 2).to_bytes(2, "big")
    assert (segment[4] & 0x0F, segment[14], segment[15]) == (0x5, 0x21, 0x00)


async def test_a_ping_is_echoed(rig: "Rig", client: "Client") -> None:
    await client.login()
    client.send(pdu.nop_out(b"are you there", itt=5, cmd_sn=client.cmd_sn, exp_stat_sn=1))
    response = await client.receive()
    assert response.opcode is Opcode.NOP_IN
    assert response.data == b"are you there"


async def test_discovery_names_the_target_and_its_portal(rig: "Rig", client: "Client") -> None:
    assert await client.login(discovery=True) is LoginStatus.SUCCESS
    client.send(pdu.text_request(b"SendTargets=All\0", itt=3, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    response = await client.receive()
    assert response.opcode is Opcode.TEXT_RESPONSE
    assert response.data == f"TargetName={rig.host.target.name}\0TargetAddress=127.0.0.1:{rig.port},1\0".encode()


async def test_discovery_hides_what_would_refuse(rig: "Rig", client: "Client") -> None:
    rig.host.admit = False
    await client.login(discovery=True)
    client.send(pdu.text_request(b"SendTargets=All\0", itt=3, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    assert (await client.receive()).data == b""


async def test_nobody_logs_in_unless_admitted(rig: "Rig", client: "Client") -> None:
    rig.host.admit = False
    status = await client.login()
    assert status is LoginStatus.AUTHORIZATION_FAILURE
    assert await client.ended() == b""


async def test_a_second_login_reinstates_the_session(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    other = await type(client).connect(rig)
    assert await other.login() is LoginStatus.SUCCESS
    assert await client.ended() == b""
    await other.ready()
    assert len(rig.transport.sessions()) == 1
    other.close()


async def _hold_a_write(rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Start a write that a worker does not finish before the returned event is set."""
    under_way, let_go = threading.Event(), threading.Event()
    write = rig.ram.write

    def held(offset: int, data: bytes) -> None:
        under_way.set()
        let_go.wait(10)
        write(offset, data)

    monkeypatch.setattr(rig.ram, "write", held)
    await client.login()
    await client.ready()
    client.command(write_10(0, 1), out=b"o" * BLOCK, immediate=BLOCK)
    assert await asyncio.to_thread(under_way.wait, 5)
    monkeypatch.setattr(rig.ram, "write", write)
    return let_go


@pytest.mark.parametrize("lost", [True, False], ids=["connection lost", "connection there"])
async def test_no_write_of_a_former_session_lands_after_a_new_login(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    let_go = await _hold_a_write(rig, client, monkeypatch)
    if lost:
        client.close()
    others = [await type(client).connect(rig) for _ in range(2)]
    logins = [asyncio.ensure_future(other.login()) for other in others]
    done, _ = await asyncio.wait(logins, timeout=0.3)
    assert not done, "logged in while a write of the former session was under way"
    let_go.set()
    statuses = [await asyncio.wait_for(login, 5) for login in logins]
    assert statuses == [LoginStatus.SUCCESS] * 2
    assert bytes(rig.ram.content[:BLOCK]) == b"o" * BLOCK
    assert len(rig.transport.sessions()) == 1, "the later of the two has reinstated the earlier"
    for other in others:
        other.close()


async def test_a_dropped_session_is_gone_when_its_last_write_has_ended(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = await _hold_a_write(rig, client, monkeypatch)
    (session,) = rig.transport.sessions()
    dropped = asyncio.ensure_future(rig.driver.drop_session(session.id))
    assert await client.ended() == b""
    assert not dropped.done()
    let_go.set()
    assert await asyncio.wait_for(dropped, 5)
    assert rig.transport.sessions() == []


async def test_a_command_outside_the_window_is_ignored(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    client.command(bytes(6), cmd_sn=client.cmd_sn + 1000)
    client.command(bytes(6), cmd_sn=client.cmd_sn - 1)
    itt = client.command(bytes(6))
    assert (await client.receive()).fields.itt == itt


async def test_a_command_that_comes_early_waits_for_its_turn(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    late = client.command(bytes(6), cmd_sn=client.cmd_sn + 1)
    early = client.command(bytes(6), cmd_sn=client.cmd_sn)
    assert [(await client.receive()).fields.itt for _ in range(2)] == [early, late]


async def test_a_logical_unit_reset_ends_everything_before_it_is_answered(rig: "Rig", client: "Client") -> None:
    rig.ram.nowait = False
    await client.login()
    await client.ready()
    for n in range(20):
        client.command(read_10(n, 1), room=BLOCK)
    client.send(pdu.task_management_request(5, lun=0, itt=500, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    while (response := await client.receive()).opcode is not Opcode.TASK_MANAGEMENT_RESPONSE:
        assert response.opcode is Opcode.DATA_IN
    assert response.fields.response == 0
    assert not rig.lu.tasks()
    status, sense = await client.execute(bytes(6))
    assert (status, sense[4] & 0x0F, sense[14]) == (2, 6, 0x29)


async def test_a_removed_lun_ends_its_commands(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    itt = client.command(write_10(0, 8), out=4096)
    assert (await client.receive()).opcode is Opcode.R2T
    gone = asyncio.Event()
    rig.host.target.unmap(0, gone.set)
    await asyncio.wait_for(gone.wait(), 5)
    assert not rig.lu.tasks()
    told = await client.receive()
    assert (told.opcode, told.fields.itt, told.fields.status) == (Opcode.SCSI_RESPONSE, itt, 0x40)  # TASK ABORTED
    client.data(itt, bytes(4096), 0, 4096, ttt=1)
    status, sense = await client.execute(bytes(6))
    assert (status, sense[14]) == (2, 0x25)


async def test_a_target_that_goes_away_asks_to_log_out(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    (session,) = rig.transport.sessions()
    await rig.driver.ask_to_log_out([session.id], 2)
    response = await client.receive()
    assert (response.opcode, response.fields.event) == (Opcode.ASYNC_MESSAGE, 1)
    assert (await client.execute(bytes(6)))[0] == 0
    await asyncio.wait_for(rig.driver.drop_target(rig.host.target), 5)
    assert await client.ended() == b""
    with pytest.raises(Draining):
        rig.host.target.leases.take("a newcomer")


async def test_no_command_is_accepted_after_a_logout(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = await _hold_a_write(rig, client, monkeypatch)
    accepted = rig.lu.accepted
    client.send(pdu.logout_request(0, itt=99, cmd_sn=client.cmd_sn, exp_stat_sn=client.exp_stat_sn))
    client.command(read_10(0, 1), room=BLOCK)
    assert await client.ended() == b""
    let_go.set()
    assert rig.lu.accepted == accepted
    assert [record.message for record in caplog.records if record.exc_info] == []
