"""News for the service manager, one datagram each: sd_notify(3)."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Self

_log = logging.getLogger(__name__)

VARIABLE = "NOTIFY_SOCKET"

_SEND_S = 1.0
"""How long a service manager that does not read may hold us up."""

_EXTEND_S = 5.0
"""How often more time is asked for."""


class Notifier:
    """Tells a service manager how the daemon is; without one it does nothing.

    News is never worth an error: what can't be sent is logged.

    :param address: a path, or a name in the abstract name space after ``@``; empty: nobody listens.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Self:
        """The one of ``NOTIFY_SOCKET``, which is taken out of the environment: our children must not speak for us."""
        return cls(environ.pop(VARIABLE, ""))

    def environment(self) -> dict[str, str]:
        """What lets a successor speak for the service."""
        return {VARIABLE: self.address} if self.address else {}

    def ready(self, status: str) -> None:
        """Everything is served: the end of a start, or of a reload."""
        self.tell("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self.tell(_status(text))

    def reloading(self) -> None:
        """A reload begins; :meth:`ready` ends it."""
        self.tell(
            "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the configuration again"
        )

    def stopping(self, status: str) -> None:
        """The daemon begins to stop."""
        self.tell("STOPPING=1", _status(status))

    @contextmanager
    def taking_time(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Ask for more time as long as the block lasts and the loop turns, so that no timeout of a unit need know ours."""
        timer: asyncio.TimerHandle

        def extend() -> None:
            nonlocal timer
            self.tell(f"EXTEND_TIMEOUT_USEC={int(3 * _EXTEND_S * 1e6)}")
            timer = loop.call_later(_EXTEND_S, extend)

        extend()
        try:
            yield
        finally:
            timer.cancel()

    def tell(self, *lines: str) -> None:
        """Send assignments such as ``WATCHDOG=1`` in one datagram."""
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_SEND_S)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.warning("the service manager at %s can't be told %s: %s", self.address, lines[0], error)


def _status(text: str) -> str:
    return f"STATUS={'; '.join(text.splitlines())}"
