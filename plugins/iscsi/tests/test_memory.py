"""What a connection may hold in memory, and that nobody waits for ever for his share."""

import os
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.limits import CONNECTION_BYTES_HIGH, IMMEDIATE_COMMANDS_MAX
from tgtcore_iscsi.options import IscsiOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import NO_TAG, Opcode, RejectReason

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

MIB = 1 << 20
BLOCK = 512
TASK_SET_FULL = 0x28
ONLY_SOLICITED = {"ImmediateData": "No", "InitialR2T": "Yes", "MaxBurstLength": str(MIB)}
MIB_BLOCKS = MIB // BLOCK


def transfer(opcode: int, blocks: int, lba: int = 0) -> bytes:
    return bytes((opcode, 0)) + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"


def read(blocks: int) -> bytes:
    return transfer(0x28, blocks)


def write(blocks: int, lba: int = 0) -> bytes:
    return transfer(0x2A, blocks, lba)


@pytest.fixture
def options() -> IscsiOptions:
    return IscsiOptions(portals=(PortalOptions(address="127.0.0.1:0"),), queue_depth=128, nop_interval_s=0)


async def answer_r2ts(client: "Client", content: bytes, count: int) -> int:
    """Send the data that R2Ts ask for until so many commands have ended; returns the most that was asked for at one time."""
    asked = most = 0
    while count:
        response = await client.receive()
        fields = response.fields
        if response.opcode is Opcode.R2T:
            asked += fields.desired_length
            most = max(most, asked)
            end = fields.buffer_offset + fields.desired_length
            client.data(fields.itt, content, fields.buffer_offset, end, ttt=fields.ttt, piece=262144)
            await client.writer.drain()
        else:
            assert (response.opcode, fields.status) == (Opcode.SCSI_RESPONSE, 0)
            asked -= len(content)
            count -= 1
    return most


async def test_writes_beyond_the_share_get_their_turn(rig: "Rig", client: "Client") -> None:
    await client.login(**ONLY_SOLICITED)
    await client.ready()
    content = os.urandom(MIB)
    count = 2 * CONNECTION_BYTES_HIGH // MIB - 1
    for number in range(count):
        client.command(write(MIB_BLOCKS, lba=number % 8 * MIB_BLOCKS), out=content)
    most = await answer_r2ts(client, content, count)
    assert MIB < most <= CONNECTION_BYTES_HIGH + MIB  # an R2T overtakes the response that made room for it
    assert bytes(rig.ram.content) == content * 8
    assert rig.transport.statistics()["held_bytes"] == 0


async def test_with_little_memory_left_one_write_at_a_time_goes_on(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore_iscsi.memory.ALL_CONNECTIONS_BYTES_HIGH", -1)
    await client.login(**ONLY_SOLICITED)
    await client.ready()
    content = os.urandom(2 * MIB)
    for _ in range(10):
        client.command(write(2 * MIB_BLOCKS), out=content)
    assert await answer_r2ts(client, content, 10) <= 2 * len(content)


async def test_an_aborted_write_that_waits_for_memory_is_gone(rig: "Rig", client: "Client") -> None:
    await client.login(**ONLY_SOLICITED)
    await client.ready()
    content = os.urandom(MIB)
    fits = CONNECTION_BYTES_HIGH // MIB
    tags = [client.command(write(MIB_BLOCKS), out=content) for _ in range(fits + 2)]
    asking = [(await client.receive()).fields for _ in range(fits)]
    assert [fields.itt for fields in asking] == tags[:fits]
    client.send(
        pdu.task_management_request(
            1, lun=0, itt=5000, cmd_sn=client.cmd_sn, exp_stat_sn=1, referenced_task_tag=tags[fits]
        )
    )
    response = await client.receive()
    assert (response.opcode, response.fields.response) == (Opcode.TASK_MANAGEMENT_RESPONSE, 0)
    for fields in asking:
        client.data(fields.itt, content, 0, MIB, ttt=fields.ttt, piece=262144)
    await answer_r2ts(client, content, fits + 1)
    assert rig.transport.statistics()["held_bytes"] == 0


async def test_reads_beyond_the_share_wait_while_nothing_else_does(rig: "Rig", client: "Client") -> None:
    rig.ram.nowait = False
    await client.login()
    await client.ready()
    blocks = 8 * MIB_BLOCKS
    for _ in range(40):
        client.command(read(blocks), room=blocks * BLOCK)
    ended = 0
    while ended < 40:
        response = await client.receive()
        assert response.opcode is Opcode.DATA_IN
        ended += response.fields.flags & 1
    assert rig.transport.statistics()["held_bytes"] == 0


async def test_reads_beyond_the_share_are_turned_away_while_a_write_waits_for_data(
    rig: "Rig", client: "Client"
) -> None:
    rig.ram.gate.clear()
    rig.ram.nowait = False
    await client.login(**ONLY_SOLICITED)
    await client.ready()
    content = os.urandom(MIB)
    client.command(write(MIB_BLOCKS), out=content)
    r2t = (await client.receive()).fields
    blocks = 8 * MIB_BLOCKS
    fits = CONNECTION_BYTES_HIGH // MIB // 8
    tags = [client.command(read(blocks), room=blocks * BLOCK) for _ in range(fits + 3)]
    refused = [(await client.receive()).fields for _ in range(3)]
    assert [(fields.itt, fields.status) for fields in refused] == [(tag, TASK_SET_FULL) for tag in tags[fits:]]
    rig.ram.gate.set()
    client.data(r2t.itt, content, 0, MIB, ttt=r2t.ttt)
    ended = 0
    while ended < fits + 1:
        fields = (await client.receive()).fields
        ended += bool(fields.flags & 1) if hasattr(fields, "buffer_offset") else 1
    assert rig.transport.statistics()["held_bytes"] == 0


async def test_commands_for_immediate_delivery_are_rationed(rig: "Rig", client: "Client") -> None:
    rig.ram.gate.clear()
    rig.ram.nowait = False
    await client.login()
    await client.ready()
    for number in range(IMMEDIATE_COMMANDS_MAX + 5):
        client.send(
            pdu.scsi_command(
                read(8), flags=0xC1, lun=0, itt=1000 + number, expected_length=4096, cmd_sn=client.cmd_sn,
                exp_stat_sn=1, immediate=True,
            )
        )  # fmt: skip
    rejects = [await client.receive() for _ in range(5)]
    assert {response.opcode for response in rejects} == {Opcode.REJECT}
    assert {response.fields.reason for response in rejects} == {RejectReason.IMMEDIATE_COMMAND_REJECT}
    rig.ram.gate.set()
    ended = [(await client.receive()).fields for _ in range(IMMEDIATE_COMMANDS_MAX)]
    assert {fields.status for fields in ended} == {0}
    assert (await client.execute(bytes(6)))[0] == 0


async def test_data_for_a_command_that_was_turned_away_is_ignored(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore_iscsi.memory.ALL_CONNECTIONS_BYTES_HIGH", -1)
    await client.login(FirstBurstLength="524288", MaxBurstLength="1048576", InitialR2T="No")
    await client.ready()
    content = os.urandom(262144)
    tags = [client.command(write(512), out=content, final=0) for _ in range(6)]
    refused = (await client.receive()).fields
    assert (refused.itt, refused.status) == (tags[-1], TASK_SET_FULL)
    for tag in reversed(tags):
        client.data(tag, content, 0, len(content), ttt=NO_TAG)
    ended = [(await client.receive()).fields for _ in tags[:-1]]
    assert {(fields.itt, fields.status) for fields in ended} == {(tag, 0) for tag in tags[:-1]}


async def test_the_final_bit_is_missed_when_no_data_can_follow(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    client.command(write(8), out=bytes(4096), immediate=4096, final=0)
    response = await client.receive()
    assert (response.opcode, response.fields.reason) == (Opcode.REJECT, RejectReason.INVALID_PDU_FIELD)
    assert await client.ended() == b""


async def test_a_connection_that_is_lost_gives_its_share_back(rig: "Rig", client: "Client") -> None:
    await client.login(**ONLY_SOLICITED)
    await client.ready()
    for _ in range(10):
        client.command(write(MIB_BLOCKS), out=MIB)
        await client.receive()
    assert rig.transport.statistics()["held_bytes"] >= 9 * MIB
    client.close()
    await rig.until(lambda: not rig.transport.statistics()["connections"])
    assert rig.transport.statistics()["held_bytes"] == 0


async def test_writes_that_lack_nothing_never_wait_for_memory(
    rig: "Rig", client: "Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would end one inside the other when their turn came."""
    monkeypatch.setattr("tgtcore_iscsi.memory.CONNECTION_BYTES_HIGH", 40000)
    await client.login(InitialR2T="No", FirstBurstLength="512")
    await client.ready()
    first = client.command(write(64), out=bytes(32768))
    r2t = (await client.receive()).fields
    tags = []
    for _ in range(100):
        tags.append(client.command(write(1), out=bytes(512), final=0))
        client.data(tags[-1], bytes(512), 0, 512, ttt=NO_TAG)
    client.data(first, bytes(32768), 0, 32768, ttt=r2t.ttt)
    ended = [(await client.receive()).fields for _ in range(101)]
    assert {fields.itt for fields in ended} == {first, *tags}
    assert {fields.status for fields in ended} <= {0, TASK_SET_FULL}


async def test_a_paused_connection_wakes_when_its_commands_are_aborted_in_silence(rig: "Rig", client: "Client") -> None:
    rig.lu.task_aborted_status = False
    rig.ram.gate.clear()
    rig.ram.nowait = False
    await client.login()
    await client.ready()
    blocks = 8 * MIB_BLOCKS
    for _ in range(10):
        client.command(read(blocks), room=blocks * BLOCK)
    other = await type(client).connect(rig)
    await other.login(isid=b"\x40\0\0\2\0\2")
    assert (await other.execute(bytes(6)))[0] == 2
    await rig.until(lambda: sum(session.tasks for session in rig.transport.sessions()) == 9)
    other.send(pdu.task_management_request(5, lun=0, itt=77, cmd_sn=other.cmd_sn, exp_stat_sn=1))
    await other.writer.drain()
    rig.ram.gate.set()
    assert (await other.receive()).opcode is Opcode.TASK_MANAGEMENT_RESPONSE
    client.send(pdu.nop_out(b"still there?", itt=4242, cmd_sn=client.cmd_sn, exp_stat_sn=1, immediate=True))
    while (await client.receive()).fields.itt != 4242:
        pass
    other.close()


@pytest.mark.parametrize("behind_a_ring", [False], indirect=True)  # data that is in the ring needs no memory of ours
async def test_data_that_came_with_commands_counts(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    rig.ram.gate.clear()
    for _ in range(8):
        client.command(write(128), out=bytes(65536), immediate=65536)
    await rig.until(lambda: rig.transport.statistics()["held_bytes"] == 8 * 65536)
    assert rig.transport.statistics()["held_bytes"] == 8 * 65536
    client.close()
    await rig.until(lambda: not rig.transport.statistics()["connections"])
    assert rig.transport.statistics()["held_bytes"] == 8 * 65536, "workers have it still"
    rig.ram.gate.set()
    await rig.until(lambda: not rig.transport.statistics()["held_bytes"])
    assert rig.transport.statistics()["held_bytes"] == 0


async def test_late_data_of_many_aborted_writes_is_ignored(rig: "Rig", client: "Client") -> None:
    await client.login(**ONLY_SOLICITED)
    await client.ready()
    asked = []
    for _ in range(120):
        client.command(write(8), out=bytes(4096))
        asked.append((await client.receive()).fields)
    client.send(pdu.task_management_request(5, lun=0, itt=7777, cmd_sn=client.cmd_sn, exp_stat_sn=1))
    assert (await client.receive()).opcode is Opcode.TASK_MANAGEMENT_RESPONSE
    for fields in asked:
        client.data(fields.itt, bytes(4096), 0, 4096, ttt=fields.ttt)
    assert (await client.execute(bytes(6)))[0] == 2
    assert (await client.execute(bytes(6)))[0] == 0


@pytest.mark.parametrize("out", [b"", bytes(512)])
async def test_a_command_that_is_refused_holds_nothing(rig: "Rig", client: "Client", out: bytes) -> None:
    await client.login(InitialR2T="Yes")
    await client.ready()
    client.command(read(8), room=4096, out=out, final=0, **({"read_length": 4096} if out else {}))
    assert await client.ended()
    await rig.until(lambda: not rig.transport.statistics()["connections"])
    assert rig.transport.statistics()["held_bytes"] == 0
