"""A child process with its end of a socket pair, watched through a pidfd."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

from tgtcore.isolation.orders import Orders, parse_line

_LINE_BYTES_MAX = 16 * 1024
"""A longer line of its log is cut."""


class Child:
    """A driver process.

    :param orders: what it is told; the number of its descriptor is filled in.
    :param log: takes what it logs.
    :param exited: called once, when it has ended, with its exit status, negative for a signal.
    :raises OSError: it can't be started.
    """

    def __init__(
        self,
        orders: Orders,
        loop: asyncio.AbstractEventLoop,
        log: logging.Logger,
        exited: Callable[[int], None],
    ) -> None:
        self.link, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._loop = loop
        self._log = log
        self._exited = exited
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __package__, replace(orders, link=far_end.fileno()).to_argument()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(far_end.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            self.link.close()
            raise
        finally:
            far_end.close()
        assert self._process.stderr is not None
        self._stderr = self._process.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._pidfd, self._ended)
        loop.add_reader(self._stderr, self._said)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._pidfd >= 0

    def kill(self) -> None:
        """End it at once."""
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        status = self._process.wait()
        self._said()
        self._loop.remove_reader(self._stderr)
        self._stderr.close()
        self._exited(status)

    def _said(self) -> None:
        try:
            heard = os.read(self._stderr.fileno(), 65536)
        except BlockingIOError:
            return
        if not heard:
            self._loop.remove_reader(self._stderr)
            return
        *lines, self._rest = (self._rest + heard).split(b"\n")
        if len(self._rest) > _LINE_BYTES_MAX:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            level, name, text = parse_line(line[:_LINE_BYTES_MAX])
            self._log.log(
                level, "%s[%d]: %s%s", self._log.name.rpartition(".")[2], self.pid, f"{name}: " * bool(name), text
            )
