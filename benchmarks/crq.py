"""What the queues and the copies of emulated partitions cost: ``python -m benchmarks.crq``.

A client partition in a process of its own keeps 32 elements under way.  The server copies data to where an element says, and sends
the element back.
"""

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tgtcore_ibmvio.platform import Adapter, Hcall
from tgtcore_ibmvio.platform.emulated import Emulated, EmulatedOptions
from tgtcore_ibmvio.platform.emulated.client import Call, ClientPartition, Hello

_UNIT_ADDRESS = 0x30000001
_MEMORY_BYTES = 1 << 23
_QUEUE_BYTES = 1 << 16
_DEPTH = 32
_COPIES = (0, 4096, 65536)


class _Echo:
    """The server: copies so many bytes, and sends the element back."""

    def __init__(self, adapter: Adapter, copied: int) -> None:
        self._adapter = adapter
        self._data = bytes(copied)
        self.heard = 0
        self.ended = asyncio.Event()

    def element(self, element: bytes) -> None:
        if element[0] == 0xFF:
            self.ended.set()
            return
        self.heard += 1
        if self._data:
            address = int.from_bytes(element[8:], "big")
            if self._adapter.write(address, self._data) is not Hcall.SUCCESS:
                raise RuntimeError("the data could not be copied")
        if self._adapter.send(element) is not Hcall.SUCCESS:
            raise RuntimeError("there are more elements under way than the queue has room for")


async def _serve(directory: Path, copied: int, ready: Connection) -> None:
    machine = Emulated(EmulatedOptions(directory=directory), asyncio.get_running_loop())
    adapter = await machine.open(_UNIT_ADDRESS)
    echo = _Echo(adapter, copied)
    adapter.register(echo)
    ready.send(None)
    before = time.process_time()
    await echo.ended.wait()
    ready.send((time.process_time() - before) / echo.heard)
    adapter.free()
    await machine.release(adapter)


def _run(directory: Path, copied: int, ready: Connection) -> None:
    asyncio.run(_serve(directory, copied, ready))


def _round_trips(path: Path, count: int) -> float:
    """Seconds that so many elements take, there and back."""
    client = ClientPartition.attach(path, Hello(1, "benchmark", _MEMORY_BYTES, 0, _MEMORY_BYTES))
    client.map(0, 0, _MEMORY_BYTES)
    client.memory[:] = bytes(_MEMORY_BYTES)
    client.call(Call.H_REG_CRQ, 0, _QUEUE_BYTES)
    places = [_QUEUE_BYTES + number * 65536 for number in range(_DEPTH)]
    elements = [b"\x80" + bytes(7) + place.to_bytes(8, "big") for place in places]
    began = time.perf_counter()
    sent = got = 0
    while got < count:
        while sent < count and sent - got < _DEPTH:
            client.send(elements[sent % _DEPTH])
            sent += 1
        got += len(client.receive(10))
    took = time.perf_counter() - began
    client.close()
    return took


def main() -> None:
    """Print a line for each length."""
    parser = argparse.ArgumentParser(prog="benchmarks.crq", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="elements of each measurement")
    count = parser.parse_args().count
    for copied in _COPIES:
        ours, theirs = multiprocessing.Pipe()
        with tempfile.TemporaryDirectory(prefix="crq-") as folder:
            server = multiprocessing.Process(target=_run, args=(Path(folder), copied, theirs))
            server.start()
            ours.recv()
            took = _round_trips(Path(folder) / f"{_UNIT_ADDRESS:x}.sock", count)
            cpu_s: float = ours.recv()
            server.join()
        print(f"{copied:6} bytes copied: {count / took:10,.0f} elements/s, {cpu_s * 1e6:6.2f} us/element of the server")


if __name__ == "__main__":
    main()
