"""A healthy session beside every attack: it writes, reads and compares without a pause, and nothing in the log may be a trace."""

import asyncio
import logging
import os
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tgtcore_iscsi.chap import chap_response
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.initiator.pdu import login_status
from tgtcore_iscsi.options import IscsiOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import FINAL, LoginStatus
from tgtcore_iscsi.text import encode_pairs, parse_pairs
from tgtcore_iscsi.values import format_hex, parse_binary

from tgtcore import Account

if TYPE_CHECKING:
    from conftest import Client, Rig

BLOCK = 512
AREA = 0x2000
INITIATOR = "iqn.2026-11.org.example:tester"
TARGET = "iqn.2026-11.org.example:disk"
ACCOUNTS = {
    "user": Account("user", b"the initiator's secret"),
    "us": Account("us", b"the target's secret"),
    "same": Account("same", b"the initiator's secret"),
}


@pytest.fixture
def login_timeout_s() -> float:
    return 60


@pytest.fixture
def options(login_timeout_s: float) -> IscsiOptions:
    portals = (PortalOptions(address="127.0.0.1:0"),)
    return IscsiOptions(portals=portals, login_timeout_s=login_timeout_s, connections_max=64)


class Neighbour:
    """A session that minds its own business."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        self.rounds = 0
        self._stop = False

    async def live(self) -> None:
        """Write, read, compare until told to stop."""
        while not self._stop:
            await self.verify()

    async def verify(self) -> None:
        """One round."""
        content = os.urandom(64 * BLOCK)
        cdb = bytes((0x2A, 0)) + AREA.to_bytes(4, "big") + bytes((0, 0, 64, 0))
        assert await self.client.execute(cdb, out=content, immediate=4096) == (0, b"")
        assert await self.client.execute(b"\x28" + cdb[1:], room=len(content)) == (0, content)
        self.rounds += 1

    def stop(self) -> None:
        """After this round."""
        self._stop = True


@pytest_asyncio.fixture(autouse=True)
async def neighbour(rig: "Rig", client: "Client", caplog: pytest.LogCaptureFixture) -> AsyncIterator[Neighbour]:
    """Verified I/O before, during and after the attack."""
    rig.host.accounts.update(ACCOUNTS)
    healthy = await type(client).connect(rig)
    assert await log_in(healthy, rig, isid=b"\x40\0\0\2\0\2") is LoginStatus.SUCCESS
    await healthy.ready()
    caplog.set_level(logging.DEBUG)
    neighbour = Neighbour(healthy)
    await neighbour.verify()
    life = asyncio.ensure_future(neighbour.live())
    yield neighbour
    during = neighbour.rounds
    neighbour.stop()
    try:
        await life
        await neighbour.verify()
    finally:
        healthy.close()
    assert neighbour.rounds > during
    defects = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not defects, [record.getMessage() for record in defects]


async def log_in(client: "Client", rig: "Rig", *, isid: bytes) -> LoginStatus:
    """With CHAP if the target wants it."""
    if not rig.host.target.options.auth:  # type: ignore[attr-defined]
        return await client.login(isid=isid)
    login = Login(client, isid)
    await login.says({"InitiatorName": INITIATOR, "TargetName": TARGET, "AuthMethod": "CHAP"}, csg=0)
    asked = await login.says({"CHAP_A": "7"}, csg=0)
    await login.says({"CHAP_N": "user", "CHAP_R": format_hex(proof(asked))}, csg=0, nsg=1)
    await login.says({"InitialR2T": "No", "ImmediateData": "Yes", "MaxRecvDataSegmentLength": "262144"}, csg=1, nsg=3)
    return login.status


def proof(asked: dict[str, str], secret: bytes = ACCOUNTS["user"].secret) -> bytes:
    """The right answer to a challenge."""
    return chap_response(int(asked["CHAP_A"]), int(asked["CHAP_I"]), secret, parse_binary(asked["CHAP_C"]))


class Login:
    """A login whose every request is up to the test."""

    def __init__(self, client: "Client", isid: bytes = b"\x40\0\0\1\0\1") -> None:
        self.client = client
        self.isid = isid
        self.status = LoginStatus.SUCCESS
        self.response: Any = None

    async def says(
        self, text: "dict[str, str] | bytes", *, csg: int = 1, nsg: int | None = None, more: bool = False, **header: Any
    ) -> dict[str, str]:
        """Send one request and return the keys of the answer."""
        data = text if isinstance(text, bytes) else encode_pairs(text.items())
        flags = csg << 2 | (0 if nsg is None else 0x80 | nsg) | (0x40 if more else 0)
        fields = {"flags": flags, "isid": self.isid, "cmd_sn": self.client.cmd_sn, **header}
        self.client.send(pdu.login_request(data, **fields))
        self.response = await self.client.receive()
        self.status = login_status(self.response.fields)
        return dict(parse_pairs(self.response.data)) if self.status is LoginStatus.SUCCESS else {}

    async def begins(self, text: "dict[str, str] | bytes" = b"", **more: Any) -> dict[str, str]:
        """The first request, with the names."""
        names = encode_pairs([("InitiatorName", INITIATOR), ("TargetName", TARGET)])
        data = text if isinstance(text, bytes) else encode_pairs(text.items())
        return await self.says(names + data, **more)


@pytest.fixture
def login(client: "Client") -> Login:
    """The attacker's login."""
    return Login(client)


def header(opcode: int, flags: int = FINAL, lengths: int = 0, itt: int = 77, cmd_sn: int = 0) -> bytes:
    """A basic header segment by its first bytes."""
    return struct.pack(">BBHI8xI4xI20x", opcode, flags, 0, lengths, itt, cmd_sn)


@pytest.fixture
def make_header() -> Any:
    """The function."""
    return header


@pytest.fixture
def prove() -> Any:
    """The function that answers a challenge."""
    return proof


@pytest_asyncio.fixture
async def session(client: "Client") -> "Client":
    """The attacker, logged in, with the power-on attention behind it."""
    assert await client.login() is LoginStatus.SUCCESS
    await client.ready()
    return client
