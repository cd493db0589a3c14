"""The connection between two daemons."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tgtcore.handover.messages import Channel, Gone, wait_exit

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare socket at its other end."""
    one, other = socket.socketpair()
    channel = Channel(one)
    other.setblocking(False)
    yield channel, other
    channel.close()
    other.close()


async def received(channel: Channel) -> str:
    """What ends the channel."""
    with pytest.raises(Gone) as caught:
        async with asyncio.timeout(30):
            await channel.receive()
    return str(caught.value)


async def test_descriptors_come_with_their_message(ends: tuple[Channel, socket.socket], tmp_path: Path) -> None:
    channel, other = ends
    peer = Channel(other.dup())
    with (tmp_path / "file").open("w") as file:
        for number in range(3):
            await peer.send({"number": number}, (file.fileno(),) * (number + 1))
    for number in range(3):
        message, descriptors = await channel.receive()
        assert (message, len(descriptors)) == ({"number": number}, number + 1)
        for descriptor in descriptors:
            assert os.fstat(descriptor).st_ino == (tmp_path / "file").stat().st_ino
            assert not os.get_inheritable(descriptor)
            os.close(descriptor)
    peer.close()


async def test_a_long_message_arrives_whole(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    peer = Channel(other.dup())
    sending = asyncio.create_task(peer.send({"text": "x" * 600_000}))
    message, _ = await asyncio.wait_for(channel.receive(), 30)
    await sending
    assert len(message["text"]) == 600_000
    peer.close()


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b"\xff\n"])
async def test_nonsense_ends_it(ends: tuple[Channel, socket.socket], line: bytes) -> None:
    channel, other = ends
    other.send(line)
    assert await received(channel) == "the other daemon speaks another protocol"


async def test_a_message_without_an_end_ends_it(
    ends: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore.handover.messages.MANAGEMENT_REQUEST_BYTES_MAX", 100_000)
    channel, other = ends
    flood = asyncio.create_task(asyncio.get_running_loop().sock_sendall(other, b"x" * 1_000_000))
    assert await received(channel) == "a message is too long"
    flood.cancel()


async def test_a_peer_that_leaves_ends_it(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    assert await received(channel) == "the connection was closed"
    with pytest.raises(Gone):
        await channel.send({"go": 1})


async def test_what_is_expected_must_come(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.send(b'{"go": 4711}\n{"other": 1}\n')
    with pytest.raises(Gone, match="go was expected, not go"):
        await channel.expect("go", descriptors=1)
    with pytest.raises(Gone, match="go was expected, not other"):
        await channel.expect("go")


async def test_the_end_of_a_process_is_waited_for() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    pidfd = os.pidfd_open(process.pid)
    waiting = asyncio.create_task(wait_exit(pidfd))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(waiting, 30)
    os.close(pidfd)
    await process.wait()
