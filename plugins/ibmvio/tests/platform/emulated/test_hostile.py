"""Partitions that do anything: the loop goes on, a neighbour is served, and nothing is left in the end."""

import asyncio
import os
import random
import socket
import struct
from contextlib import suppress
from typing import Any

import pytest
from tgtcore_ibmvio.platform.emulated.client import AsyncClientPartition, Call, Hello, Refused
from tgtcore_ibmvio.platform.emulated.wire import CALL, HELLO, WELCOME
from tgtcore_ibmvio.platform.hcall import Hcall

PAGE = 4096
MEMORY_BYTES = 16 * PAGE
NEIGHBOUR = 0x30000004


class Victim:
    """A server that reads and writes wherever an element says, as one that trusts nobody but its platform does."""

    def __init__(self, adapter: Any, dice: random.Random) -> None:
        self._adapter = adapter
        self._dice = dice
        self.heard = 0
        self._views: list[Any] = []

    def element(self, element: bytes) -> None:
        assert len(element) == 16
        assert element[0]
        self.heard += 1
        address, length = struct.unpack(">QQ", element)
        length %= 3 * PAGE
        self._adapter.read(address, memoryview(bytearray(length)))
        self._adapter.write(address % MEMORY_BYTES, bytes(length))
        self._views = [self._views[-8:], self._adapter.views(address % MEMORY_BYTES, length, writable=True)][1:]
        self._adapter.send(element)
        if self._dice.random() < 0.001:
            self._adapter.free()
            self._adapter.register(self)


class Offender:
    """A connection, and whatever came of it."""

    def __init__(self, path: Any, dice: random.Random) -> None:
        self._dice = dice
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.setblocking(False)
        try:
            self._link.connect(str(path))
        except BaseException:
            self._link.close()
            raise
        self._fds: list[int] = []
        self._memory: Any = None
        self._start = 0

    def act(self) -> bool:
        """Do something; False: that was the end."""
        deed = self._dice.choice(
            (self._say, self._say, self._hear, self._scribble, self._scribble, self._ring, self._end)
        )
        with suppress(OSError):
            return deed()
        return True

    def _say(self) -> bool:
        likely = self._hello if self._memory is None else self._call
        packet = (likely if self._dice.random() < 0.95 else self._noise)()
        if self._dice.random() < 0.1:
            socket.send_fds(self._link, [packet], self._dice.choices(range(3), k=self._dice.randrange(1, 20)))
        else:
            self._link.send(packet)
        return True

    def _hello(self) -> bytes:
        self._start = self._dice.choice((0, PAGE, 1 << 40))
        good = Hello(self._dice.randrange(1, 70000), "offender", MEMORY_BYTES, self._start, MEMORY_BYTES).packet()
        return good if self._dice.random() < 0.8 else self._bent(good)

    def _call(self) -> bytes:
        call = self._dice.choice((*Call, *Call, self._dice.getrandbits(32)))
        length = self._dice.choice((PAGE, PAGE, 2 * PAGE, self._dice.getrandbits(64)))
        return CALL.pack(call, 0, self._dice.choice((0, PAGE, self._dice.getrandbits(64))), length)

    def _noise(self) -> bytes:
        return self._dice.randbytes(self._dice.choice((0, 1, CALL.size, HELLO.size, 1000)))

    def _bent(self, good: bytes) -> bytes:
        bent = bytearray(good)
        bent[self._dice.randrange(len(bent))] ^= 1 << self._dice.randrange(8)
        return bytes(bent)

    def _hear(self) -> bool:
        packet, fds, _, _ = socket.recv_fds(self._link, 4096, 10)
        self._fds += fds
        if len(packet) == WELCOME.size and len(fds) == 3:
            self._memory = os.dup(fds[0])
            self._fds.append(self._memory)
            table = WELCOME.unpack(packet)[7]
            entries = struct.pack("<16Q", *(page * PAGE | 3 for page in range(16)))
            os.pwrite(self._memory, entries, table)
            if self._dice.random() < 0.8:  # without a queue nothing is heard of it
                self._link.send(CALL.pack(Call.H_REG_CRQ, 0, self._start, PAGE))
        return True

    def _scribble(self) -> bool:
        if self._memory is not None:
            size = os.fstat(self._memory).st_size
            at = self._dice.choice((PAGE, 64, 128, 2 * PAGE, self._dice.randrange(size)))
            content = self._dice.choice((self._dice.randbytes(4096), bytes(4096), b"\x80" + self._dice.randbytes(255)))
            os.pwrite(self._memory, content[: size - at], at)
        return True

    def _ring(self) -> bool:
        if len(self._fds) >= 3:
            os.write(self._fds[1], bytes(self._dice.choice((1, 8, 5000))))
        return True

    def _end(self) -> bool:
        return self._dice.random() < 0.9

    def close(self) -> None:
        for fd in self._fds:
            with suppress(OSError):
                os.close(fd)
        self._link.close()


async def mistreat(bench: Any, seed: int, deeds: int) -> Victim:
    """Do so many things to the adapter, while a neighbour works."""
    dice = random.Random(seed)
    victim = Victim(bench.adapter, dice)
    bench.adapter.free()
    bench.adapter.register(victim)
    echo = await bench.machine.open(NEIGHBOUR)
    echo.register(Echo(echo))
    hello = Hello(1, "neighbour", PAGE, 0, PAGE)
    neighbour = await AsyncClientPartition.attach(bench.directory / f"{NEIGHBOUR:x}.sock", hello)
    neighbour.map(0, 0, PAGE)
    assert await neighbour.call(Call.H_REG_CRQ, 0, PAGE) is Hcall.SUCCESS
    offenders: list[Offender] = []
    for deed in range(deeds):
        if len(offenders) < 3:
            with suppress(BlockingIOError):
                offenders.append(Offender(bench.path, dice))
        if not offenders[deed % len(offenders)].act():
            offenders.pop(deed % len(offenders)).close()
        await asyncio.sleep(0)
        if not deed % 10:
            assert neighbour.send(b"\x80" + deed.to_bytes(15, "big")) is Hcall.SUCCESS
            assert await neighbour.receive(10) == [b"\x80" + deed.to_bytes(15, "big")]
    for offender in offenders:
        offender.close()
    neighbour.close()
    await bench.until(lambda: bench.adapter.partner is None and echo.partner is None, "the end of all partitions")
    await bench.machine.release(echo)
    return victim


class Echo:
    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def element(self, element: bytes) -> None:
        self._adapter.send(element)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_short_fuzz(bench: Any, seed: int) -> None:
    victim = await mistreat(bench, seed, 1000)
    assert victim.heard
    assert await in_order_again(bench)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.asyncio
async def test_a_long_fuzz(bench: Any) -> None:
    heard = 0
    for seed in range(100, 130):
        heard += (await mistreat(bench, seed, 3000)).heard
    assert heard > 1000
    assert await in_order_again(bench)


async def in_order_again(bench: Any) -> bool:
    """Whether an honest partition is served after all that."""
    bench.adapter.free()
    bench.adapter.register(bench.heard)
    await bench.attach()
    return bench.adapter.send(b"\x80" * 16) is Hcall.SUCCESS


@pytest.mark.asyncio
async def test_attempts_without_an_end_keep_nobody_from_anything(bench: Any) -> None:
    for _ in range(200):
        with suppress(BlockingIOError), bench.connect() as link:
            link.send(bench.hello.packet())
        await asyncio.sleep(0)
    await bench.until(lambda: bench.adapter.partner is None, "the end of all others")
    while bench.adapter.partner is None:
        with suppress(Refused):
            await bench.attach()
