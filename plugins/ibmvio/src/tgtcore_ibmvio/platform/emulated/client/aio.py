"""A client partition for programs with an event loop."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Self

from tgtcore_ibmvio.platform.emulated import doorbell
from tgtcore_ibmvio.platform.emulated.client.attaching import DESCRIPTORS, Machine, welcomed
from tgtcore_ibmvio.platform.emulated.client.partition import ANSWER_S, Partition
from tgtcore_ibmvio.platform.emulated.order import require_order
from tgtcore_ibmvio.platform.emulated.readable import readable
from tgtcore_ibmvio.platform.emulated.wire import RETURN, WELCOME, Call, Hello
from tgtcore_ibmvio.platform.hcall import Hcall

_AGAIN_S = 0.01


class AsyncClientPartition(Partition):
    """A client partition whose calls are awaited; :meth:`attach` makes one.

    One call may be under way, and one :meth:`receive`.

    :param link: the socket over which it has attached, owned from here on.
    """

    def __init__(self, link: socket.socket, machine: Machine) -> None:
        super().__init__(machine)
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._rings = asyncio.Event()
        self._returned: asyncio.Future[bytes] | None = None
        self._loop.add_reader(self._heard, self._on_bell)
        self._loop.add_reader(link, self._on_link)

    @classmethod
    async def attach(cls, path: Path, hello: Hello) -> Self:
        """Attach to the adapter with this socket.

        :raises Refused: the partition may not; the message says why.
        :raises OSError: there is no machine, or it says nothing.
        """
        require_order()
        loop = asyncio.get_running_loop()
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(ANSWER_S):
                await _connect(link, path)
                with suppress(BrokenPipeError):  # who has hung up already has said why
                    await loop.sock_sendall(link, hello.packet())
                await readable(link)
            packet, descriptors, _, _ = socket.recv_fds(link, WELCOME.size, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            return cls(link, welcomed(hello, packet, descriptors))
        except BaseException:
            link.close()
            raise

    async def call(self, call: Call, first: int = 0, second: int = 0) -> Hcall:
        """Ask something of the machine; :class:`Call` says what each one does, and takes.

        :raises OSError: the machine has gone, or says nothing.
        """
        packet = self._begin(call, first, second)
        self._returned = self._loop.create_future()
        try:
            self._link.send(packet)
        except BrokenPipeError:
            return self._end(b"")
        async with asyncio.timeout(ANSWER_S):
            return self._end(await self._returned)

    async def receive(self, timeout_s: float) -> list[bytes]:
        """Take elements out of the queue, one at least; none when the time is over.

        :raises ConnectionError: the machine has gone, and an element has said so, or there is no queue.
        """
        taken = self.take()
        if taken:
            return taken
        try:
            async with asyncio.timeout(timeout_s):
                while not (taken := self.take()):
                    self._rings.clear()
                    if self._doze():
                        await self._rings.wait()
        except TimeoutError:
            pass
        return taken

    def close(self) -> None:
        """Detach; to the server, the partition has failed."""
        if self._link.fileno() >= 0:
            self._loop.remove_reader(self._heard)
            self._loop.remove_reader(self._link)
            self._link.close()
            self._let_go()

    def _on_bell(self) -> None:
        if not doorbell.hear(self._heard):
            self._loop.remove_reader(self._heard)
        self._rings.set()

    def _on_link(self) -> None:
        try:
            packet = self._link.recv(RETURN.size + 1)
        except ConnectionError:
            packet = b""
        if not packet:
            self._alive = False
            self._loop.remove_reader(self._link)
            self._rings.set()
        if self._returned is not None and not self._returned.done():
            self._returned.set_result(packet)


async def _connect(link: socket.socket, path: Path) -> None:
    while True:
        try:
            link.connect(str(path))
        except BlockingIOError:  # as many as can be wait there already, and nothing tells when there is room
            await asyncio.sleep(_AGAIN_S)
        else:
            return
