"""Client partitions in Python: one that waits, in a thread and in a process of its own, and one for event loops."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tgtcore_ibmvio.platform.emulated.attaching import refuse
from tgtcore_ibmvio.platform.emulated.client import (
    Access,
    AsyncClientPartition,
    Call,
    ClientPartition,
    Hello,
    Refused,
    aio,
)
from tgtcore_ibmvio.platform.emulated.wire import MAGIC, RETURN, WELCOME
from tgtcore_ibmvio.platform.hcall import Hcall

from tgtcore import bind_private

FAILED, DEREGISTERED = (bytes((0xFF, code)) + bytes(14) for code in (1, 2))
HELLO = Hello(1, "one", 4096, 0, 4096)
ELEMENT = b"\x80" * 16


async def in_thread(work: Callable[[], Any]) -> Any:
    """Do something that waits for the machine, which is on this loop."""
    return await asyncio.wait_for(asyncio.to_thread(work), 20)


def attached(bench: Any) -> ClientPartition:
    client = ClientPartition.attach(bench.path, bench.hello)
    client.map(bench.start, 0, len(client.memory))
    assert client.call(Call.H_REG_CRQ, bench.start, 4096) is Hcall.SUCCESS
    return client


@pytest.mark.asyncio
async def test_a_partition_that_waits(bench: Any) -> None:
    def work() -> list[bytes]:
        client = attached(bench)
        try:
            assert client.receive(0) == []
            assert client.receive(0.001) == []
            assert client.send(ELEMENT) is Hcall.SUCCESS
            return client.receive(20)
        finally:
            client.close()
            client.close()

    class Echo:
        def element(self, element: bytes) -> None:
            if element[0] != 0xFF:
                bench.adapter.send(element[::-1])

    bench.adapter.free()
    bench.adapter.register(Echo())
    assert await in_thread(work) == [ELEMENT]
    await bench.until(lambda: bench.adapter.partner is None, "the end of the partition")


@pytest.mark.asyncio
async def test_a_partition_that_waits_hears_of_the_end_of_the_machine(bench: Any) -> None:
    client = await in_thread(lambda: attached(bench))
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    await bench.machine.release(bench.adapter)
    assert client.receive(20) == [ELEMENT]
    assert client.receive(20) == [FAILED]
    with pytest.raises(ConnectionResetError, match="the machine has gone"):
        client.receive(20)
    with pytest.raises(ConnectionResetError, match="the machine has gone"):
        client.call(Call.H_FREE_CRQ)
    assert client.send(ELEMENT) is Hcall.CLOSED
    client.close()


@pytest.mark.asyncio
async def test_refusals_are_told(bench: Any) -> None:
    with pytest.raises(Refused, match="partition number 0"):
        await in_thread(lambda: ClientPartition.attach(bench.path, Hello(0, "zero", 4096, 0, 4096)))
    client = await in_thread(lambda: attached(bench))
    with pytest.raises(Refused, match="has another client partition"):
        await in_thread(lambda: attached(bench))
    client.close()


def test_there_may_be_no_machine(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        ClientPartition.attach(tmp_path / "none.sock", Hello(1, "one", 4096, 0, 4096))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("packet", "problem"),
    [
        (b"what", "4 bytes that nobody has asked for"),
        (RETURN.pack(Call.RESUME, 0), "has answered call 0xf003, expected"),
    ],
)
async def test_a_machine_that_answers_something_else(bench: Any, packet: bytes, problem: str) -> None:
    client = await bench.attach()
    asked = asyncio.create_task(client.call(Call.H_ENABLE_CRQ))
    bench.adapter.connection._link.send(packet)
    with pytest.raises(ConnectionError, match=problem):
        await asked


GOOD = WELCOME.pack(MAGIC, 1, 0, 7, 0, 5 * 4096, 4096, 8192, 12288, b"")
FALSE_WELCOMES = {
    "nothing": (b"", 0, "the machine has gone without an answer"),
    "short": (GOOD[:-1], 3, "the machine has gone without an answer"),
    "other": (b"WHATEVER" + GOOD[8:], 3, "whoever answers is no machine with partitions"),
    "no descriptors": (GOOD, 0, "the machine gave 0 descriptors, expected 3"),
    "no memory": (GOOD, 3, "Permission denied"),
}


@pytest.mark.parametrize(("welcome", "count", "problem"), FALSE_WELCOMES.values(), ids=FALSE_WELCOMES)
def test_who_is_no_machine(welcome: bytes, count: int, problem: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        socket.send_fds(theirs, [welcome], [reading] * count)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((OSError, ValueError), match=problem):
            ClientPartition(ours, HELLO)
    os.close(reading)
    os.close(writing)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.asyncio
async def test_a_refusal_may_be_there_before_the_hello_of_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(link: socket.socket, path: Path) -> None:
        link.connect(str(path))
        refusing, _ = listening.accept()
        refuse(refusing, "there is another")

    monkeypatch.setattr(aio, "_connect", connect)
    path = tmp_path / "machine.sock"
    with bind_private(path, "machine", socket.SOCK_SEQPACKET) as listening:
        listening.listen()
        with pytest.raises(Refused, match="there is another"):
            await AsyncClientPartition.attach(path, HELLO)


@pytest.mark.asyncio
async def test_a_partition_changes_its_own_window(bench: Any) -> None:
    client = await bench.attach()
    client.map(bench.start + 4096, 8192, 4096, Access.READ)
    client.memory[8192:8196] = b"here"
    into = bytearray(4)
    assert bench.adapter.read(bench.start + 4096, memoryview(into)) is Hcall.SUCCESS
    assert into == b"here"
    assert bench.adapter.write(bench.start + 4096, b"away") is Hcall.PERMISSION
    client.unmap(bench.start + 4096, 4096)
    assert bench.adapter.read(bench.start + 4096, memoryview(into)) is Hcall.PERMISSION


@pytest.mark.asyncio
async def test_waiting_for_elements_ends_in_time_or_with_them(bench: Any) -> None:
    client = await bench.attach()
    assert await client.receive(0) == []
    assert await client.receive(0.001) == []
    waiting = asyncio.create_task(client.receive(20))
    await asyncio.sleep(0)
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    assert await waiting == [ELEMENT]
    waiting = asyncio.create_task(client.receive(20))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    assert await client.receive(20) == [ELEMENT]


NUMBERS = 3000
PARTITION = f"""
import sys
from pathlib import Path
from tgtcore_ibmvio.platform.emulated.client import Call, ClientPartition, Hello
from tgtcore_ibmvio.platform.hcall import Hcall

client = ClientPartition.attach(Path(sys.argv[1]), Hello(9, "process", 1 << 16, 0, 1 << 16))
client.map(0, 0, 1 << 16)
assert client.call(Call.H_REG_CRQ, 0, 4096) is Hcall.SUCCESS
sent = got = 0
while got < {NUMBERS}:
    while sent < {NUMBERS}:
        code = client.send(b"\\x80" + sent.to_bytes(15, "big"))
        if code is Hcall.DROPPED:
            break
        assert code is Hcall.SUCCESS, code
        sent += 1
    for element in client.receive(10):
        assert element == b"\\x81" + got.to_bytes(15, "big"), (got, element.hex())
        got += 1
print("all", got)
"""


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_process_and_the_server_at_the_same_time(bench: Any) -> None:
    """Both processors write and read the queues at once, and everything comes once and in order."""

    class Echo:
        def __init__(self) -> None:
            self.heard = 0
            self.waiting: list[bytes] = []
            self.failed = threading.Event()

        def element(self, element: bytes) -> None:
            if element[0] == 0xFF:
                self.failed.set()
                return
            assert element == b"\x80" + self.heard.to_bytes(15, "big")
            self.heard += 1
            self.waiting.append(b"\x81" + element[1:])
            self.send()

        def send(self) -> None:
            while self.waiting and bench.adapter.send(self.waiting[0]) is Hcall.SUCCESS:
                self.waiting.pop(0)
            if self.waiting:
                bench.loop.call_later(0.0001, self.send)

    echo = Echo()
    bench.adapter.free()
    bench.adapter.register(echo)
    command = [sys.executable, "-c", PARTITION, str(bench.path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == (f"all {NUMBERS}\n", "")
    await bench.until(echo.failed.is_set, "the end of the process")
    assert echo.heard == NUMBERS


def test_a_partition_that_is_refused_before_it_has_said_a_word_hears_why() -> None:
    machine, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    refuse(machine, "there is no room")
    with link, pytest.raises(Refused, match="there is no room"):
        ClientPartition(link, HELLO)
