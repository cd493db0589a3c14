"""A connection to the xenstore's server: many requests under way at once, and events of watches among the answers."""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from tgtcore_xen.platform.hypervisor.wire import (
    NO_TRANSACTION,
    BrokenMessage,
    Decoder,
    Message,
    Type,
    encode,
    refusal,
    split,
)

_READ_BYTES = 1 << 16
_REQUESTS = 1 << 32


class StoreConnection:
    """A descriptor that messages go through: of a socket, or of ``/dev/xen/xenbus``.

    :param descriptor: does not block; closed here.
    :param event: called with path and token of what a watch has seen.
    :param lost: called once when the server is gone, after all who wait for it were told.
    :param at_once: how many requests may be under way.  ``/dev/xen/xenbus`` takes one: Linux keeps no copy of a payload that waits
        to be sent (``xenbus_dev_request_and_reply``), and the next one takes its place.
    """

    def __init__(
        self,
        descriptor: int,
        loop: asyncio.AbstractEventLoop,
        event: Callable[[str, str], None],
        lost: Callable[[], None],
        at_once: int,
    ) -> None:
        self._descriptor = descriptor
        self._loop = loop
        self._event = event
        self._lost = lost
        self._decoder = Decoder()
        self._waiting: dict[int, tuple[asyncio.Future[bytes], Type, str]] = {}
        self._at_once = at_once
        self._under_way = 0
        self._queued: deque[bytes] = deque()
        self._unsent = bytearray()
        self._request = 0
        self._broken: OSError | None = None
        loop.add_reader(descriptor, self._readable)

    def send(
        self, kind: Type, payload: bytes, about: str = "", transaction: int = NO_TRANSACTION
    ) -> "asyncio.Future[bytes]":
        """Ask; the answer's payload comes, or OSError.

        :param about: a path that an error names.
        :raises OSError: the server is gone, or the request is too long.
        """
        if self._broken is not None:
            raise self._error()
        self._request = self._free_request()
        data = encode(Message(kind, self._request, transaction, payload))
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[self._request] = (answer, kind, about)
        self._queued.append(data)
        self._send_queued()
        return answer

    def close(self) -> None:
        """Hang up; who still waits is told so.  Idempotent."""
        self._end(OSError(errno.ENOTCONN, "the connection to the xenstore is closed"))

    def _send_queued(self) -> None:
        waits = bool(self._unsent)
        while self._queued and self._under_way < self._at_once:
            self._under_way += 1
            self._unsent += self._queued.popleft()
        if self._unsent and not waits:
            self._writable()

    def _free_request(self) -> int:
        request = (self._request + 1) % _REQUESTS
        while request in self._waiting:
            request = (request + 1) % _REQUESTS
        return request

    def _error(self) -> OSError:
        """A new one each time, as a traceback hangs on it."""
        broken = self._broken
        assert broken is not None
        return OSError(broken.errno, broken.strerror)

    # ---- called by the loop ----------------------------------------------------------------------------------------------

    def _writable(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._descriptor, self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._descriptor, self._writable)
            return
        except OSError as error:
            # Not at once: who has just asked has no future yet to be told by.
            self._loop.call_soon(self._gone, error)
        self._loop.remove_writer(self._descriptor)

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "hung up")
            for message in self._decoder.feed(data):
                self._received(message)
        except BlockingIOError:
            return
        except BrokenMessage as error:
            self._end(error)
        except OSError as error:
            self._gone(error)

    def _received(self, message: Message) -> None:
        if message.type == Type.WATCH_EVENT:
            seen = split(message.payload)
            if len(seen) < 2:
                raise BrokenMessage("an event of a watch without a token")
            self._event(seen[0], seen[1])
            return
        answer, kind, about = self._waiting.get(message.request, (None, None, ""))
        if answer is None or message.type not in (kind, Type.ERROR):
            raise BrokenMessage(f"an answer of type {message.type} that nobody has asked for")
        del self._waiting[message.request]
        self._under_way -= 1
        self._send_queued()
        if answer.done():  # who asked has gone away
            return
        if message.type == Type.ERROR:
            answer.set_exception(refusal(message.payload, about))
        else:
            answer.set_result(message.payload)

    def _gone(self, error: OSError) -> None:
        self._end(OSError(error.errno, f"the xenstore's server is gone: {error.strerror}"))

    def _end(self, why: OSError) -> None:
        if self._broken is not None:
            return
        self._broken = why
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        with suppress(OSError):
            os.close(self._descriptor)
        self._unsent.clear()
        self._queued.clear()
        for answer, _, _ in self._waiting.values():
            if not answer.done():
                answer.set_exception(self._error())
        self._waiting.clear()
        self._lost()
