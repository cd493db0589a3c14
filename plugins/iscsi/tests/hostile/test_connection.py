"""Connections that are not what they should be."""

import asyncio
import os
import random
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.limits import LOGIN_REQUESTS_MAX
from tgtcore_iscsi.options import IscsiOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import LoginStatus, Opcode

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))


class TestLoginsThatTakeTooLong:
    @pytest.fixture
    def login_timeout_s(self) -> float:
        return 1.5

    async def test_half_open_before_the_login(self, client: "Client") -> None:
        assert await client.ended() == b""

    async def test_a_header_one_byte_at_a_time(self, client: "Client") -> None:
        async def trickle() -> None:
            for byte in pdu.login_request(b"", flags=0x87)[:47]:
                client.send(bytes((byte,)))
                await asyncio.sleep(0.1)

        sender = asyncio.ensure_future(trickle())
        assert await client.ended() == b""
        assert not sender.done()
        sender.cancel()

    async def test_a_login_that_never_goes_on(self, login: Any) -> None:
        await login.begins({"SessionType": "Normal"})
        assert login.status is LoginStatus.SUCCESS
        assert await login.client.ended() == b""


class TestSilence:
    @pytest.fixture
    def options(self) -> IscsiOptions:
        return IscsiOptions(portals=(PortalOptions(address="127.0.0.1:0"),), nop_interval_s=0.01)

    @pytest.fixture
    def neighbour(self) -> None:
        """Has its own way to answer pings below."""

    async def test_half_open_after_the_login(self, rig: "Rig", client: "Client") -> None:
        healthy = await type(client).connect(rig)
        await healthy.login(isid=b"\x40\0\0\2\0\2")
        await client.login()

        async def answer_pings() -> None:
            while True:
                ping = (await healthy.receive()).fields
                healthy.send(pdu.nop_out(itt=0xFFFFFFFF, ttt=ping.ttt, cmd_sn=healthy.cmd_sn, exp_stat_sn=0))

        answering = asyncio.ensure_future(answer_pings())
        rest = await client.ended()
        assert rest[0] == Opcode.NOP_IN
        assert len(rest) == 48
        assert [session.details["isid"] for session in rig.transport.sessions()] == ["400000020002"]
        answering.cancel()
        healthy.close()


@pytest.mark.parametrize("count", [0, 1, 47])
async def test_47_bytes_then_fin(rig: "Rig", client: "Client", count: int) -> None:
    client.send(pdu.login_request(b"", flags=0x87)[:count])
    client.writer.write_eof()
    assert await client.ended() == b""
    assert rig.transport.statistics()["connections"] == 1


async def test_rst_in_the_middle_of_a_data_segment(rig: "Rig", session: "Client") -> None:
    request = pdu.scsi_command(
        WRITE, flags=0xA1, lun=0, itt=7, expected_length=4096, cmd_sn=session.cmd_sn, exp_stat_sn=1, data=b"\xff" * 4096
    )
    session.send(request[:1000])
    await session.writer.drain()
    raw: socket.socket = session.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.close()
    await rig.until(lambda: len(rig.transport.sessions()) == 1)
    assert not any(rig.ram.content[:4096])


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/1.1\r\nHost: storage\r\nUser-Agent: curious\r\n\r\n",
        bytes(48),
        b"\xff" * 48,
        random.Random(1).randbytes(4096),
    ],
    ids=["TLS hello", "HTTP request", "zeroes", "ones", "noise"],
)
async def test_what_is_not_iscsi(rig: "Rig", client: "Client", data: bytes) -> None:
    client.send(data)
    assert await client.ended() == b""
    assert rig.transport.statistics()["connections"] == 1


async def test_more_connections_than_allowed(rig: "Rig", client: "Client") -> None:
    crowd = [await type(client).connect(rig) for _ in range(80)]
    assert [await one.ended() for one in crowd[62:]] == [b""] * 18
    assert rig.transport.statistics()["connections"] == 64
    for one in crowd:
        one.close()
    await rig.until(lambda: rig.transport.statistics()["connections"] == 2)


async def test_10_000_connects(rig: "Rig", client: "Client") -> None:
    files_before = len(os.listdir("/proc/self/fd"))
    open_now: list[socket.socket] = []
    for number in range(10_000):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", rig.port))
        open_now.append(one)
        if len(open_now) == 100:
            for old in open_now[:50]:
                old.close()
            del open_now[:50]
            await asyncio.sleep(0)
        if not number % 1000:
            assert rig.transport.statistics()["connections"] <= 64
    for one in open_now:
        one.close()
    await rig.until(lambda: rig.transport.statistics()["connections"] <= 2)
    assert len(os.listdir("/proc/self/fd")) <= files_before
    newcomer = await type(client).connect(rig)
    assert await newcomer.login() is LoginStatus.SUCCESS
    newcomer.close()


async def test_a_login_that_never_ends(login: Any) -> None:
    await login.begins({"SessionType": "Normal"})
    for _ in range(LOGIN_REQUESTS_MAX - 1):
        assert login.status is LoginStatus.SUCCESS
        await login.says(b"")
    await login.says(b"")
    assert login.status is LoginStatus.INITIATOR_ERROR
    assert await login.client.ended() == b""


async def test_1_000_rejected_logins(rig: "Rig", client: "Client") -> None:
    for _ in range(1000):
        other = await type(client).connect(rig)
        other.send(
            pdu.login_request(
                b"InitiatorName=iqn.2026-11.org.example:x\0TargetName=iqn.2026-11.org.example:y\0", flags=0x87
            )
        )
        assert (await other.receive()).fields.status_class == 2
        other.close()
    await rig.until(lambda: rig.transport.statistics()["connections"] <= 2)
