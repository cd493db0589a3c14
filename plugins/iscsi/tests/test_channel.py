"""Sending from a file to a peer that is slow to take it."""

import asyncio
import os
import socket
from pathlib import Path
from random import Random

import pytest
from tgtcore_iscsi.connection import Connection
from tgtcore_iscsi.limits import BHS_BYTES
from tgtcore_iscsi.server import Channel
from tgtcore_iscsi.session import Session

from tgtcore import OpenFile, Region

pytestmark = pytest.mark.asyncio

_CONTENT = Random(1).randbytes(8 << 20)
_PATIENCE_S = 10


class Services:
    def cold_reset(self, session: Session) -> None:
        raise AssertionError("not asked for")


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname(), _PATIENCE_S)
        return listening.accept()[0], peer


async def test_what_is_sent_late_comes_from_the_file_that_was_read(tmp_path: Path) -> None:
    for name, content in (("read", _CONTENT), ("other", bytes(len(_CONTENT)))):
        (tmp_path / name).write_bytes(content)
    ours, peer = _connected()
    reasons: list[str] = []
    channel = Channel(ours, asyncio.get_running_loop(), lambda _, why: reasons.append(why))
    connection = Connection("peer", Services(), channel.wake)
    channel.start(connection)
    store = OpenFile(os.open(tmp_path / "read", os.O_RDONLY))
    with peer:
        connection.send(bytes(BHS_BYTES), Region(store, 0, len(_CONTENT)))
        await asyncio.sleep(0)
        assert 0 < connection.outbound_bytes < len(_CONTENT), "some of it has to wait for the peer"
        del store
        others = [os.open(tmp_path / "other", os.O_RDONLY) for _ in range(2)]
        received = await asyncio.wait_for(asyncio.to_thread(_receive, peer, BHS_BYTES + len(_CONTENT)), _PATIENCE_S)
        assert received[BHS_BYTES:] == _CONTENT
        for fd in others:
            os.close(fd)
        channel.close("the end")
    assert reasons == ["the end"]


def _receive(peer: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count and (piece := peer.recv(1 << 20)):
        received += piece
    return bytes(received)
