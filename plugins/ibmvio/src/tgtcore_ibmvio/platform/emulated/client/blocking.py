"""A client partition for programs without an event loop."""

import select
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from tgtcore_ibmvio.platform.emulated import doorbell
from tgtcore_ibmvio.platform.emulated.client.attaching import DESCRIPTORS, welcomed
from tgtcore_ibmvio.platform.emulated.client.partition import ANSWER_S, Partition
from tgtcore_ibmvio.platform.emulated.order import require_order
from tgtcore_ibmvio.platform.emulated.wire import RETURN, WELCOME, Call, Hello
from tgtcore_ibmvio.platform.hcall import Hcall


class ClientPartition(Partition):
    """A client partition whose calls wait for the machine.

    :param link: a socket that is connected to an adapter's.
    :param hello: what the partition says of itself.
    :raises Refused: it may not attach; the message says why.
    :raises OSError: the machine is gone, or says nothing.
    """

    def __init__(self, link: socket.socket, hello: Hello) -> None:
        require_order()
        link.settimeout(ANSWER_S)
        with suppress(BrokenPipeError):  # who has hung up already has said why
            link.send(hello.packet())
        packet, descriptors, _, _ = socket.recv_fds(link, WELCOME.size, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        super().__init__(welcomed(hello, packet, descriptors))
        self._link = link
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        self._poll.register(self._heard, select.POLLIN)

    @classmethod
    def attach(cls, path: Path, hello: Hello) -> Self:
        """Attach to the adapter with this socket.

        :raises Refused: the partition may not; the message says why.
        :raises OSError: there is no machine, or it says nothing.
        """
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.connect(str(path))
            return cls(link, hello)
        except BaseException:
            link.close()
            raise

    def call(self, call: Call, first: int = 0, second: int = 0) -> Hcall:
        """Ask something of the machine; :class:`Call` says what each one does, and takes.

        :raises OSError: the machine has gone, or says nothing.
        """
        packet = self._begin(call, first, second)
        try:
            self._link.send(packet)
        except BrokenPipeError:
            return self._end(b"")
        return self._end(self._link.recv(RETURN.size + 1))

    def receive(self, timeout_s: float) -> list[bytes]:
        """Take elements out of the queue, one at least; none when the time is over.

        :raises ConnectionError: the machine has gone, and an element has said so, or there is no queue.
        """
        until = time.monotonic() + timeout_s
        while not (taken := self.take()):
            if self._doze():
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._wait(left)
        return taken

    def close(self) -> None:
        """Detach; to the server, the partition has failed."""
        if self._link.fileno() >= 0:
            self._link.close()
            self._let_go()

    def _wait(self, seconds: float) -> None:
        for fd, _ in self._poll.poll(seconds * 1000):
            if fd == self._heard:
                doorbell.hear(fd)
            else:
                self._alive = False  # nothing comes that was not asked for
