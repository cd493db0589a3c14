"""A service manager that only listens: what sd_notify(3) sends to it."""

import select
import socket
import time
from pathlib import Path
from typing import Self

_WAIT_S = 20


class Manager:
    """A notification socket, at a path or, with ``@`` before it, in the abstract name space."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self.heard: list[list[str]] = []

    def wait(self, line: str, timeout_s: float = _WAIT_S) -> list[str]:
        """The next news that has such a line, or one that begins so and ends in ``=``.

        :raises AssertionError: none comes in time.
        """
        deadline = time.monotonic() + timeout_s
        while (news := self.next(deadline - time.monotonic())) is not None:
            if any(one == line or (line.endswith("=") and one.startswith(line)) for one in news):
                return news
        raise AssertionError(f"no {line} in {timeout_s:g} s, only {self.heard}")

    def next(self, timeout_s: float) -> list[str] | None:
        """The next news; None when none comes in time."""
        if not select.select([self._socket], [], [], max(timeout_s, 0))[0]:
            return None
        news = self._socket.recv(65536).decode().split("\n")
        self.heard.append(news)
        return news

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
