"""The client's end of the management socket."""

import contextlib
import itertools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tgtcore.management.protocol import Code, Request, VerbError, parse_message, request_line, result_of

_TIMEOUT_S = 120
"""Removals wait for commands to end; nothing takes longer than this."""


def connect(path: Path, timeout_s: float = _TIMEOUT_S) -> socket.socket:
    """Connect to a management socket.

    :raises VerbError: nobody listens there, or the socket belongs to someone else.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    try:
        sock.connect(str(path))
    except PermissionError:
        sock.close()
        raise VerbError(
            Code.NOT_PERMITTED, f"{path}: permission denied; run tgtadm as the user that runs tgtd, or as root"
        ) from None
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise VerbError(Code.NO_DAEMON, f"no daemon answers at {path} ({reason}); is tgtd running?") from None
    return sock


Listener = Callable[[dict[str, Any]], None]


class Client:
    """A connection to a running daemon.

    :param path: the management socket.
    :raises VerbError: nobody listens there, or the socket belongs to someone else.
    """

    def __init__(self, path: Path, timeout_s: float = _TIMEOUT_S) -> None:
        self._numbers = itertools.count(1)
        self._socket = connect(path, timeout_s)
        self._lines = self._socket.makefile("rb")

    def call(self, verb: str, arguments: dict[str, Any] | None = None, progress: Listener | None = None) -> Any:
        """Run a verb and return its result.

        What a verb has begun goes on in the daemon when the client does not wait for its result.

        :param progress: called about once a second while the verb waits for something that goes away, with what
            :func:`tgtcore.management.progress.progress_of` says.
        :raises VerbError: it failed, or the daemon has gone.
        """
        self._send(request_line(Request(verb, arguments or {}, next(self._numbers), progress is not None)))
        while True:
            message = parse_message(self._receive())
            if "progress" not in message:
                return result_of(message)
            if progress is not None:
                progress(message["progress"])

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # a daemon that has gone may have said why
            self._socket.sendall(line)

    def _receive(self) -> bytes:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise VerbError(Code.BUSY, "the daemon has not answered in time") from None
        except OSError:
            line = b""
        if not line:
            raise VerbError(Code.NO_DAEMON, "the daemon has closed the connection")
        return line

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
