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

from tgtcore.isolation.child_log import ChildLog
from tgtcore.isolation.log_allowance import LogAllowance
from tgtcore.isolation.orders import Orders

_READ_BYTES = 16 * 1024
_READS_AT_THE_END = 8
"""More than a pipe holds: what others that it has started write is no concern of ours."""


class Child:
    """A driver process.

    :param orders: what it is told; the number of its descriptor is filled in.
    :param log: takes what it logs.
    :param allowance: how much that may be.
    :param ended: called once, when it has ended.
    :raises OSError: it can't be started.
    """

    def __init__(
        self,
        orders: Orders,
        loop: asyncio.AbstractEventLoop,
        log: logging.Logger,
        allowance: LogAllowance,
        ended: Callable[[], None],
    ) -> None:
        self.link, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        """The core's end of the socket; whoever attends to the driver closes it."""
        self.exited: asyncio.Future[int] = loop.create_future()
        """Gets its exit status, negative for a signal, when it has ended."""
        self._loop = loop
        self._told = ended
        process = None
        try:
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __package__, replace(orders, link=far_end.fileno()).to_argument()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(far_end.fileno(),),
                start_new_session=True,
            )
            self._pidfd = os.pidfd_open(process.pid)
        except BaseException:
            self.link.close()
            if process is not None:
                process.kill()
                process.communicate()
            raise
        finally:
            far_end.close()
        assert process.stderr is not None
        self._stderr = process.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._log = ChildLog(log, process.pid, loop, allowance)
        loop.add_reader(self._pidfd, self._ended)
        loop.add_reader(self._stderr, self._said)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """What it has logged last."""
        return self._log.last_words

    def kill(self) -> None:
        """End it at once."""
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def how_it_ended(self) -> str:
        """In words, with its last ones when it has ended by itself."""
        status = self.exited.result()
        if status < 0:
            return f"has ended by signal {-status}"
        return f"has ended with status {status}" + f": {self.last_words}" * bool(self.last_words)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        status = self._process.wait()
        for _ in range(_READS_AT_THE_END):
            self._said()
        self._log.close()
        self._loop.remove_reader(self._stderr)
        self._stderr.close()
        self.exited.set_result(status)
        self._told()

    def _said(self) -> None:
        try:
            heard = os.read(self._stderr.fileno(), _READ_BYTES)
        except BlockingIOError:
            return
        if heard:
            self._log.heard(heard)
        else:
            self._loop.remove_reader(self._stderr)
