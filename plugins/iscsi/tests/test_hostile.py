"""Broken and hostile peers: only their own connection ends, and a healthy session beside them goes on."""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.options import IscsiOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, Opcode

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

BLOCK = 512
READ = bytes((0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0))
WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))


@pytest.fixture
def options() -> IscsiOptions:
    return IscsiOptions(portals=(PortalOptions(address="127.0.0.1:0"),), login_timeout_s=1.5, connections_max=64)


@pytest_asyncio.fixture(autouse=True)
async def healthy(rig: "Rig", client: "Client", caplog: pytest.LogCaptureFixture) -> AsyncIterator["Client"]:
    """A session that writes, reads and compares, before and after."""
    neighbour = await type(client).connect(rig)
    await neighbour.login(isid=b"\x40\0\0\2\0\2")
    await neighbour.ready()
    await verified_io(neighbour)
    caplog.set_level(logging.DEBUG)
    yield neighbour
    await verified_io(neighbour)
    neighbour.close()
    defects = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not defects, [record.getMessage() for record in defects]


async def verified_io(client: "Client") -> None:
    content = os.urandom(64 * BLOCK)
    cdb = bytes((0x2A, 0, 0, 0, 0x20, 0, 0, 0, 64, 0))
    assert await client.execute(cdb, out=content, immediate=4096) == (0, b"")
    assert await client.execute(b"\x28" + cdb[1:], room=len(content)) == (0, content)


# ---- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/1.1\r\nHost: storage\r\nUser-Agent: curious\r\n\r\n",
        bytes(48),
        b"\xff" * 48,
        os.urandom(4096),
    ],
    ids=["tls", "http", "zeroes", "ones", "noise"],
)
async def test_what_is_not_iscsi_is_closed(client: "Client", data: bytes) -> None:
    client.send(data)
    await client.ended()


@pytest.mark.parametrize("count", [0, 1, 47])
async def test_half_a_header_and_then_the_end(client: "Client", count: int) -> None:
    client.send(b"\x43" + bytes(46) if count == 47 else bytes(count))
    client.writer.write_eof()
    assert await client.ended() == b""


async def test_a_login_that_never_comes_is_closed_in_time(client: "Client") -> None:
    assert await client.ended() == b""


async def test_a_login_one_byte_at_a_time_is_closed_in_time(client: "Client") -> None:
    async def trickle() -> None:
        for _ in range(40):
            client.send(b"\x43")
            await asyncio.sleep(0.1)

    sender = asyncio.ensure_future(trickle())
    await client.ended()
    sender.cancel()


async def test_a_reset_in_the_middle_of_a_data_segment(rig: "Rig", client: "Client") -> None:
    await client.login()
    await client.ready()
    request = pdu.scsi_command(
        WRITE, flags=0xA1, lun=0, itt=7, expected_length=4096, cmd_sn=client.cmd_sn, exp_stat_sn=1, data=bytes(4096)
    )
    client.send(request[:1000])
    await client.writer.drain()
    raw: socket.socket = client.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    for _ in range(200):
        if len(rig.transport.sessions()) == 1:
            break
        await asyncio.sleep(0.01)
    assert len(rig.transport.sessions()) == 1


async def test_more_connections_than_allowed_are_closed_at_once(rig: "Rig", client: "Client") -> None:
    crowd = [await type(client).connect(rig) for _ in range(80)]
    refused = 0
    for one in crowd[62:]:
        refused += await one.ended() == b""
    assert refused == 18
    for one in crowd:
        one.close()
    await asyncio.sleep(0.1)


# ---- headers ----------------------------------------------------------------------------------------------------------


def header(opcode: int, flags: int = FINAL, lengths: int = 0, itt: int = 77, rest: bytes = b"") -> bytes:
    return struct.pack(">BBHI8xI", opcode, flags, 0, lengths, itt).ljust(48, b"\0")[: 48 - len(rest)] + rest


@pytest.mark.parametrize(
    "data",
    [
        header(0x01, lengths=0xFFFFFF),
        header(0x01, lengths=262145),
        header(0x01, flags=0xC1, lengths=0xFF000000) + bytes(1020),
        header(0x01, flags=0xC1, lengths=0x01000000) + b"\x00\x05\x3f\x00",
        header(0x01, flags=0xC1, lengths=0x01000000) + b"\x00\x00\x01\x00",
        header(0x01, flags=0xC1, lengths=0x01000000) + b"\xff\xff\x01\x00",
        header(0x3F),
        header(0x1F),
        header(0x20),
        header(0x43),
        header(0x05, flags=0x80),
        header(0x04, flags=0xC0),
        header(0x04, flags=0x40),
        header(0x46, flags=0xFF),
    ],
    ids=[
        "segment of 16 MiB",
        "segment over the limit",
        "AHS of 1020 zero bytes",
        "AHS type unknown",
        "AHS length 0",
        "AHS longer than its total",
        "opcode 3F",
        "opcode 1F",
        "target opcode",
        "login in full feature phase",
        "data-out for no task",
        "text with F and C",
        "text with C and no data",
        "logout for no reason",
    ],
)
async def test_a_header_that_makes_no_sense_ends_the_connection(client: "Client", data: bytes) -> None:
    await client.login()
    await client.ready()
    data = data[:24] + struct.pack(">I", client.cmd_sn) + data[28:]
    client.send(data)
    rest = await client.ended()
    assert not rest or rest[0] == Opcode.REJECT


async def test_a_scsi_command_in_a_discovery_session(client: "Client") -> None:
    await client.login(discovery=True)
    client.command(READ, room=4096)
    assert (await client.ended())[0] == Opcode.REJECT


async def test_text_that_goes_on_with_a_tag_never_issued(client: "Client") -> None:
    await client.login()
    client.send(pdu.text_request(b"SendTargets=\0", itt=3, cmd_sn=client.cmd_sn, exp_stat_sn=1, ttt=0x1234))
    assert (await client.ended())[0] == Opcode.REJECT


async def test_logout_for_another_connection_is_refused(client: "Client") -> None:
    await client.login()
    client.send(pdu.logout_request(1, itt=9, cmd_sn=client.cmd_sn, exp_stat_sn=1, cid=55))
    assert (await client.receive()).fields.response == 1


async def test_snack_is_rejected_and_the_session_goes_on(client: "Client") -> None:
    await client.login()
    client.send(header(0x10))
    response = await client.receive()
    assert (response.opcode, response.fields.reason) == (Opcode.REJECT, 0x03)
    await client.ready()


async def test_a_task_tag_in_use_ends_the_connection(client: "Client") -> None:
    await client.login()
    await client.ready()
    client.command(WRITE, out=4096, itt=42)
    client.command(WRITE, out=4096, itt=42)
    rest = await client.ended()
    assert Opcode.REJECT in (rest[0], rest[48])


# ---- data-out ---------------------------------------------------------------------------------------------------------


async def ask_for_data(client: "Client", **keys: str) -> tuple[int, Any]:
    await client.login(**keys)
    await client.ready()
    itt = client.command(WRITE, out=4096)
    r2t = await client.receive()
    assert r2t.opcode is Opcode.R2T
    return itt, r2t.fields


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttt": 0x7777},
        {"buffer_offset": 4096},
        {"buffer_offset": 512},
        {"buffer_offset": 0xFFFFFFFF},
        {"data_sn": 1},
        {"size": 8192},
        {"size": 512, "flags": FINAL},
        {"flags": 0},
        {"itt": 999},
    ],
    ids=str,
)
async def test_data_out_that_was_not_asked_for(client: "Client", wrong: dict[str, int]) -> None:
    itt, r2t = await ask_for_data(client)
    fields = {"flags": FINAL, "itt": itt, "exp_stat_sn": 1, "data_sn": 0, "buffer_offset": 0, "ttt": r2t.ttt, **wrong}
    client.send(pdu.data_out(bytes(fields.pop("size", 4096)), **fields))
    assert (await client.ended())[0] == Opcode.REJECT


async def test_unsolicited_data_beyond_the_first_burst(client: "Client") -> None:
    await client.login(FirstBurstLength="512")
    await client.ready()
    itt = client.command(WRITE, out=4096, final=0)
    client.data(itt, bytes(4096), 0, 4096, ttt=NO_TAG)
    assert (await client.ended())[0] == Opcode.REJECT


async def test_immediate_data_although_it_was_refused(client: "Client") -> None:
    await client.login(ImmediateData="No")
    await client.ready()
    client.command(WRITE, out=bytes(4096), immediate=512)
    assert (await client.ended())[0] == Opcode.REJECT


async def test_unsolicited_data_although_it_was_refused(client: "Client") -> None:
    await client.login(InitialR2T="Yes")
    await client.ready()
    client.command(WRITE, out=bytes(4096), final=0)
    assert (await client.ended())[0] == Opcode.REJECT


async def test_data_after_the_command_has_ended_is_dropped(client: "Client") -> None:
    itt, r2t = await ask_for_data(client)
    client.send(
        pdu.task_management_request(
            1, lun=0, itt=88, cmd_sn=client.cmd_sn, exp_stat_sn=1, referenced_task_tag=itt, ref_cmd_sn=client.cmd_sn - 1
        )
    )
    assert (await client.receive()).opcode is Opcode.TASK_MANAGEMENT_RESPONSE
    client.data(itt, bytes(4096), 0, 4096, ttt=r2t.ttt)
    assert (await client.execute(bytes(6)))[0] == 0


@pytest.mark.parametrize("length", [1, 511, 1 << 20, 0xFFFFFFFF])
async def test_expected_lengths_that_do_not_fit_the_cdb(client: "Client", length: int) -> None:
    await client.login()
    await client.ready()
    client.command(READ, room=length)
    response = await client.receive()
    assert response.fields.status == 0
    assert response.fields.residual == abs(length - 4096)
    client.command(WRITE, out=length)
    r2t = await client.receive()
    assert r2t.fields.desired_length == min(length, 4096)


# ---- noise --------------------------------------------------------------------------------------------------------------


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10, 0x40, 0x41, 0x42]),
            st.integers(0, 255),
            st.sampled_from([0, 1, 4, 48, 511, 512, 4096]),
            st.binary(min_size=40, max_size=40),
        ),
        min_size=1,
        max_size=8,
    )
)
async def test_structured_noise(rig: "Rig", client: "Client", requests: list[tuple[int, int, int, bytes]]) -> None:
    other = await type(client).connect(rig)
    await other.login(isid=b"\x40\0\0\3\0\3")
    for number, (opcode, flags, length, rest) in enumerate(requests):
        raw = bytearray(struct.pack(">BBHI", opcode, flags, 0, length) + rest)
        raw[24:28] = struct.pack(">I", other.cmd_sn + number)
        other.send(bytes(raw) + bytes((length + 3) & ~3))
    other.writer.write_eof()
    await other.ended()
    other.close()
