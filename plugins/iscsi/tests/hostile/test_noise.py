"""Requests at random over a real socket, each example a session of its own."""

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tgtcore_iscsi.pdu.codes import LoginStatus

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

OPCODES = [0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10, 0x40, 0x41, 0x42]
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(OPCODES) | st.integers(0, 255),
        st.integers(0, 255),
        st.sampled_from([0, 1, 4, 48, 511, 512, 4096]),
        st.binary(min_size=40, max_size=40),
    ),
    min_size=1,
    max_size=8,
)
FELT_BY_OTHERS = {4, 5, 6, 7}
"""Functions (RFC 7143 11.5.1) that end tasks or sessions of others, and rightly so: CLEAR TASK SET and the resets."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS, digests=st.sampled_from(["None", "CRC32C"]))
async def test_structured_noise(
    rig: "Rig", client: "Client", requests: list[tuple[int, int, int, bytes]], digests: str
) -> None:
    other = await type(client).connect(rig)
    status = await other.login(isid=b"\x40\0\0\3\0\3", HeaderDigest=digests, DataDigest=digests)
    assert status is LoginStatus.SUCCESS
    for number, (opcode, flags, length, rest) in enumerate(requests):
        if opcode & 0x3F == 0x02 and flags & 0x7F in FELT_BY_OTHERS:
            continue
        raw = bytearray(struct.pack(">BBHI", opcode, flags, 0, length) + rest)
        raw[24:28] = struct.pack(">I", other.cmd_sn + number)
        other.send(bytes(raw) + bytes(length + 3 & ~3))
    other.writer.write_eof()
    await other.ended()
    other.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=300) | st.just(b"\x43\x87"), max_size=6))
async def test_noise_instead_of_a_login(rig: "Rig", client: "Client", pieces: list[bytes]) -> None:
    sessions = len(rig.transport.sessions())
    other = await type(client).connect(rig)
    for piece in pieces:
        other.send(piece)
    other.writer.write_eof()
    await other.ended()
    other.close()
    assert len(rig.transport.sessions()) == sessions
