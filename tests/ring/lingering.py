"""A connection that makes whoever closes it last wait."""

import socket
import struct

from ring.closing import until_closed_aside

LINGER_S = 20


class Lingering:
    """A connection with data that its peer does not take: whoever closes it last waits for a long time."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.ours = socket.create_connection(listening.getsockname())
            self._peer, _ = listening.accept()
        self.keep_waiting(self.ours)

    @staticmethod
    def keep_waiting(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, LINGER_S))
        sock.setblocking(False)
        try:
            while True:
                sock.send(bytes(1 << 16))
        except BlockingIOError:
            pass

    def let_go(self) -> None:
        """The peer has gone: nobody waits any more."""
        if self._peer.fileno() >= 0:
            self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 0))
            self._peer.close()
        until_closed_aside(LINGER_S / 2)
