"""The client's end of the management socket."""

import itertools
import socket
from pathlib import Path
from typing import Any

from tgtcore.management.protocol import Code, Request, VerbError, parse_response, request_line

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


class Client:
    """A connection to a running daemon.

    :param path: the management socket.
    :raises VerbError: nobody listens there, or the socket belongs to someone else.
    """

    def __init__(self, path: Path, timeout_s: float = _TIMEOUT_S) -> None:
        self._numbers = itertools.count(1)
        self._socket = connect(path, timeout_s)
        self._lines = self._socket.makefile("rb")

    def call(self, verb: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a verb and return its result.

        :raises VerbError: it failed, or the daemon has gone.
        """
        try:
            self._socket.sendall(request_line(Request(verb, arguments or {}, next(self._numbers))))
            line = self._lines.readline()
        except TimeoutError:
            raise VerbError(Code.BUSY, "the daemon has not answered in time") from None
        except OSError:
            line = b""
        if not line:
            raise VerbError(Code.NO_DAEMON, "the daemon has closed the connection")
        return parse_response(line)

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
