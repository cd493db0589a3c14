"""What the two daemons say to each other: one JSON object in each line, with descriptors beside some of them."""

import array
import asyncio
import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from tgtcore.limits import MANAGEMENT_REQUEST_BYTES_MAX

VERB = "hand over"
"""The verb that begins a hand-over; the connection is the successor's from then on."""

DESCRIPTORS_MAX = 64
"""Descriptors beside one message; Linux takes 253 (SCM_MAX_FD)."""

_CHUNK_BYTES = 65536
_INT_BYTES = array.array("i").itemsize
_RIGHTS_BYTES = socket.CMSG_LEN(DESCRIPTORS_MAX * _INT_BYTES)


class Gone(Exception):
    """The other daemon has closed the connection, or has died."""


class Channel:
    """One end of the connection.

    A stream keeps no boundaries: of the messages that one end sends without waiting, those with descriptors come first.

    :param sock: connected; closed with the channel.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._input = bytearray()
        self._descriptors: list[int] = []

    async def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message; the descriptors are duplicated on the way.

        :raises Gone: nobody is there to read it.
        """
        loop = asyncio.get_running_loop()
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            sent = 0
            if descriptors:
                await _event(self._socket, loop.add_writer, loop.remove_writer)
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                sent = self._socket.sendmsg([data], rights)
            await loop.sock_sendall(self._socket, data[sent:])
        except OSError as error:
            raise Gone(str(error)) from None

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message with its descriptors, which are the caller's.

        :raises Gone: there is none any more.
        """
        while (end := self._input.find(b"\n")) < 0:
            await self._more()
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        descriptors, self._descriptors = self._descriptors, []
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise Gone("the other daemon speaks another protocol")
        return message, descriptors

    async def expect(self, key: str, descriptors: int = 0) -> tuple[Any, list[int]]:
        """The value that the next message has for a key, with its descriptors.

        :raises Gone: there is no such message, or it has not so many descriptors.
        """
        message, found = await self.receive()
        if key not in message or len(found) < descriptors:
            for descriptor in found:
                os.close(descriptor)
            raise Gone(f"the other daemon speaks another protocol: {key} was expected, not {', '.join(message)}")
        return message[key], found

    def close(self) -> None:
        """End the connection; idempotent."""
        self._socket.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    async def _more(self) -> None:
        if len(self._input) > MANAGEMENT_REQUEST_BYTES_MAX:
            raise Gone("a message is too long")
        loop = asyncio.get_running_loop()
        await _event(self._socket, loop.add_reader, loop.remove_reader)
        try:
            data, beside, _, _ = self._socket.recvmsg(_CHUNK_BYTES, _RIGHTS_BYTES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone(str(error)) from None
        for _, _, rights in beside:
            self._descriptors += array.array("i", rights[: len(rights) - len(rights) % _INT_BYTES])
        if not data:
            raise Gone("the connection was closed")
        self._input += data


async def wait_exit(pidfd: int) -> None:
    """Wait until a process has ended: then everything that it had open is closed, and every lock is free."""
    loop = asyncio.get_running_loop()
    await _event(pidfd, loop.add_reader, loop.remove_reader)


async def _event(what: socket.socket | int, add: Callable[..., None], remove: Callable[..., Any]) -> None:
    happened = asyncio.Event()
    add(what, happened.set)
    try:
        await happened.wait()
    finally:
        remove(what)
