"""Data is copied once: between the buffer of the logical unit, or its file, and the memory of the client."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tgtcore_ibmvio.client import VioClient
from tgtcore_ibmvio.options import IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.transport import IbmvioTransport
from tgtcore_srp.iu.response import RESPONSE_BYTES

from tgtcore import OpenFile, Region
from tgtcore.testing import host as core
from tgtcore.testing.host import READY, TestHost, content, read, write

ADDRESS = "30000003"
LUN = 0x8000 << 48
COPY_BYTES_MAX = 128 * 1024
LENGTHS = [512, 4096, 70_000, COPY_BYTES_MAX, 2 * COPY_BYTES_MAX + 5]


class Bench:
    """A served adapter with a client, and every copy of data that is made through it."""

    def __init__(self, host: TestHost, transport: IbmvioTransport, client: VioClient) -> None:
        self.host = host
        self.client = client
        (server,) = transport._all()
        self.adapter: Any = server.adapter
        self.shared = self.adapter.connection.shared
        self.reads: list[memoryview] = []
        self.writes: list[memoryview] = []
        self.views: list[memoryview] = []
        read_, write_, views = self.adapter.read, self.adapter.write, self.adapter.views

        def copied_out(address: int, into: memoryview) -> Any:
            self.reads.append(into)
            return read_(address, into)

        def copied_in(address: int, data: Any) -> Any:
            if len(data) != RESPONSE_BYTES:
                self.writes.append(memoryview(data))
            return write_(address, data)

        def seen(address: int, length: int, *, writable: bool) -> Any:
            found = views(address, length, writable=writable)
            self.views += found
            return found

        self.adapter.read, self.adapter.write, self.adapter.views = copied_out, copied_in, seen

    async def execute(self, cdb: bytes, **buffers: Any) -> bytes:
        """Run a command that succeeds; its data-in."""
        response, data = await asyncio.to_thread(self.client.execute, cdb, LUN, **buffers)
        assert response.status == 0
        return data


def connected(directory: Path) -> VioClient:
    client = VioClient.attach(directory / f"{ADDRESS}.sock", data_bytes=1 << 19, requests=8)
    client.connect()
    client.log_in()
    client.execute(READY, LUN)
    return client


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    host = TestHost(asyncio.get_running_loop(), "ibmvio", "lpars", IbmvioTargetOptions(adapters=(ADDRESS,)))
    options = IbmvioOptions(portals=({"address": ADDRESS},), emulated={"directory": tmp_path / "vio"})
    transport = IbmvioTransport(host, options)
    await transport.start()
    client = await asyncio.to_thread(connected, tmp_path / "vio")
    yield Bench(host, transport, client)
    client.close()
    await transport.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("length", LENGTHS)
async def test_what_the_logical_unit_gives_is_what_is_copied(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    given = bytearray(content(length))
    monkeypatch.setattr(core, "content", lambda _: given)
    assert await bench.execute(read(length), room=length) == given
    assert all(piece.obj is given for piece in bench.writes), "there was another buffer between"
    assert sum(map(len, bench.writes)) == length


@pytest.mark.asyncio
@pytest.mark.parametrize("length", LENGTHS)
async def test_a_file_is_read_into_the_memory_of_the_client(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int
) -> None:
    (tmp_path / "data").write_bytes(b"before" + content(length))
    region = Region(OpenFile(os.open(tmp_path / "data", os.O_RDONLY)), 6, length)
    monkeypatch.setattr(core, "content", lambda _: region)
    assert await bench.execute(read(length), room=length) == content(length)
    assert bench.writes == [], "it was read into another buffer first"
    assert all(piece.obj is bench.shared.octets for piece in bench.views)
    assert sum(map(len, bench.views)) == length


@pytest.mark.asyncio
@pytest.mark.parametrize("length", LENGTHS)
async def test_what_is_copied_from_the_client_is_what_the_logical_unit_gets(bench: Bench, length: int) -> None:
    device = bench.host.device(0)
    device.hangs = True
    under_way = asyncio.create_task(bench.execute(write(length), data_out=content(length)))
    deadline = time.monotonic() + 20
    while not device.held:
        assert time.monotonic() < deadline, "waited in vain for the command"
        await asyncio.sleep(0.001)
    (task,) = device.held
    unit, *pieces = bench.reads
    assert len(unit) == 256
    assert task.data_out == content(length)
    assert all(piece.obj is task.data_out for piece in pieces), "there was another buffer between"
    assert sum(map(len, pieces)) == length
    device.release()
    await under_way
