"""A TCP relay that can fail as networks do: refuse, go silent, or lose a connection without a word."""

import contextlib
import itertools
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Self

_CHUNK = 1 << 18


class Relay:
    """Listens on a free port of an address and passes bytes on to another; use it as a context manager."""

    def __init__(
        self, host: str, to: tuple[str, int], observe: Callable[[int, bool, bytes], None] = lambda *_: None
    ) -> None:
        """`observe` is told of each piece of data: the connection's number, whether it comes from the initiator, bytes."""
        self._to = to
        self._observe = observe
        self._connections = itertools.count()
        self._passing = _open_gate()
        self._gates = [self._passing]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._spawn(self._accept, self._listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        for gate in self._gates:
            gate.set()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Refuse new connections and end those that are there."""
        with self._lock:
            for one in [self._listener, *(one for pair in self._pairs for one in pair)]:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._pairs.clear()

    def hold(self) -> None:
        """Keep the connections, pass nothing on."""
        self._passing.clear()

    def abandon(self) -> None:
        """Pass nothing on any more, not even an end, on the connections that are there; new ones work."""
        self._passing.clear()
        self._passing = _open_gate()
        self._gates.append(self._passing)

    def restore(self) -> None:
        """Pass everything on again."""
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(self.address)
            self._spawn(self._accept, self._listener)
        self._passing.set()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                self._passing.wait()
                try:
                    far = socket.create_connection(self._to, timeout=5)
                except OSError:
                    near.close()
                    continue
                for one in (near, far):
                    one.settimeout(None)
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    if listener.fileno() < 0:  # cut while the far side was being connected
                        near.close()
                        far.close()
                        return
                    self._pairs.append((near, far))
                self._spawn(self._pump, near, far, self._passing)

    def _pump(self, near: socket.socket, far: socket.socket, passing: threading.Event) -> None:
        other = {near: far, far: near}
        number = next(self._connections)
        with near, far, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            for one in other:
                selector.register(one, selectors.EVENT_READ, one)
            while True:
                for key, _ in selector.select():
                    passing.wait()
                    received = key.data.recv(_CHUNK)
                    if not received:
                        return
                    self._observe(number, key.data is near, received)
                    other[key.data].sendall(received)


def _open_gate() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate
