"""Both sides of a hand-over, in one process and without a daemon."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pytest_mock import MockerFixture

from tgtcore.daemon import Inheritance, InheritedSocket
from tgtcore.handover import VERB, Gone, Predecessor, Successor
from tgtcore.handover.messages import Channel
from tgtcore.management.protocol import Code, Request, VerbError
from tgtcore.management.server import Conversation, Server

pytestmark = pytest.mark.asyncio

RESERVATIONS = {bytes([number]) * 16: {"registrations": [], "generation": number} for number in range(3)}


class Old:
    """The management socket of a daemon that is asked to hand over."""

    def __init__(self, path: Path) -> None:
        self.server = Server(path, self._answer)
        self.asked: asyncio.Queue[Successor] = asyncio.Queue()
        self.refusal: VerbError | None = None

    async def _answer(self, request: Request) -> Any:
        assert request.verb == VERB
        if self.refusal is not None:
            raise self.refusal
        return Conversation(lambda sock: self.asked.put_nowait(Successor(sock)))

    async def offer(self, sockets: list[InheritedSocket]) -> Successor:
        """Offer, and return the successor that wants it."""
        successor = await self.asked.get()
        try:
            await successor.offer(self.server.place, sockets)
        except BaseException:
            successor.close()
            raise
        return successor


@pytest_asyncio.fixture
async def old(tmp_path: Path) -> AsyncIterator[Old]:
    made = Old(tmp_path / "run" / "tgtd.sock")
    await made.server.start()
    async with asyncio.timeout(20):
        yield made
    await made.server.stop()
    assert os.listdir(tmp_path) == []


@pytest.fixture
def sockets() -> Any:
    """More than fit beside one message."""
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(150)]
    yield [InheritedSocket(f"name {number}", sock, f"transport {number % 2}") for number, sock in enumerate(made)]
    for sock in made:
        sock.close()


def end(predecessor: Predecessor, inheritance: Inheritance) -> None:
    """What a successor lets go of when it ends."""
    predecessor.place.leave()
    predecessor.close()
    inheritance.close()


async def test_everything_is_handed_over(old: Old, sockets: list[InheritedSocket]) -> None:
    giving = asyncio.create_task(old.offer(sockets))
    predecessor = await Predecessor.ask(old.server.path)
    taking = asyncio.create_task(predecessor.yield_place())
    successor = await giving
    assert successor.pid == os.getpid()
    ending = asyncio.create_task(successor.take_over(RESERVATIONS, clean=True))
    inheritance = await taking
    taken = dict(inheritance.take_sockets("transport 1"))
    assert len(taken) == len(sockets) // 2
    for inherited in sockets:
        found = taken.get(inherited.address) or inheritance.take_socket(inherited.address, inherited.transport)
        assert found is not None
        assert found.getsockname() == inherited.socket.getsockname()
        found.close()
    assert [inheritance.take_reservations(unique_id) for unique_id in RESERVATIONS] == list(RESERVATIONS.values())
    assert not ending.done()
    serving = asyncio.create_task(predecessor.serving())
    assert await ending is True
    successor.close()
    await serving
    end(predecessor, inheritance)


async def test_a_successor_that_fails_says_why(old: Old) -> None:
    giving = asyncio.create_task(old.offer([]))
    predecessor = await Predecessor.ask(old.server.path)
    taking = asyncio.create_task(predecessor.yield_place())
    successor = await giving
    ending = asyncio.create_task(successor.take_over({}, clean=True))
    inheritance = await taking
    assert await predecessor.failed("a store is missing") is True
    with pytest.raises(Gone, match="a store is missing"):
        await ending
    successor.close()
    end(predecessor, inheritance)


async def test_a_predecessor_that_is_not_closed_is_waited_for(old: Old) -> None:
    """Its process must have ended before anything is opened; it does not wait for us in turn."""
    giving = asyncio.create_task(old.offer([]))
    predecessor = await Predecessor.ask(old.server.path)
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    os.close(predecessor._process)
    predecessor._process = os.pidfd_open(process.pid)
    taking = asyncio.create_task(predecessor.yield_place())
    successor = await giving
    assert await successor.take_over({}, clean=False) is True
    successor.close()
    await asyncio.sleep(0.05)
    assert not taking.done()
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
    end(predecessor, await taking)


async def test_a_successor_that_hangs_up_is_waited_for(old: Old) -> None:
    """As long as its process lives it may have a store open; the connection alone says nothing."""
    giving = asyncio.create_task(old.offer([]))
    predecessor = await Predecessor.ask(old.server.path)
    taking = asyncio.create_task(predecessor.yield_place())
    successor = await giving
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    os.close(successor._process)
    successor._process = os.pidfd_open(process.pid)
    ending = asyncio.create_task(successor.take_over({}, clean=True))
    end(predecessor, await taking)
    await asyncio.sleep(0.05)
    assert not ending.done()
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
    with pytest.raises(Gone):
        await ending
    successor.close()


async def test_a_successor_that_says_nothing_is_given_up(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.handover.giving._ANSWER_S", 0.05)
    giving = asyncio.create_task(old.offer([]))
    predecessor = await Predecessor.ask(old.server.path)
    with pytest.raises(Gone, match=r"it has not answered in 0.05 s"):
        await giving
    end(predecessor, Inheritance())


async def test_a_refusal_is_told(old: Old) -> None:
    old.refusal = VerbError(Code.BUSY, "giving way already")
    with pytest.raises(VerbError, match="giving way already") as caught:
        await Predecessor.ask(old.server.path)
    assert caught.value.code is Code.BUSY


async def test_nothing_is_taken_from_another_user(old: Old, mocker: MockerFixture) -> None:
    mocker.patch.object(socket.socket, "getsockopt", return_value=struct.pack("3i", 1, 4242, 4242))
    with pytest.raises(VerbError, match="that of user 4242; nothing is taken from it") as caught:
        await Predecessor.ask(old.server.path)
    assert caught.value.code is Code.NOT_PERMITTED


@pytest.mark.parametrize("message", [{"offered": 0}, {"offer": {}}, {"offer": {"folders": [], "ours": True}}])
async def test_a_daemon_of_another_version_is_left_alone(old: Old, message: dict[str, Any]) -> None:
    asking = asyncio.create_task(Predecessor.ask(old.server.path))
    successor = await old.asked.get()
    channel: Channel = successor._channel
    await channel.send(message)
    successor.close()
    with pytest.raises(VerbError, match="does not hand over"):
        await asking
