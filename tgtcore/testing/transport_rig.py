"""What the conformance kit of transports works with: an initiator's session, and a started transport with its host and loop."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from tgtcore.testing.host import HELD, TestHost
from tgtcore.testing.ring import DriverOnThisLoop
from tgtcore.testing.waiting import TurnedLoop
from tgtcore.transport import LocalDriver, Transport


class Answer(NamedTuple):
    """How a command ended.

    :param data: data-in; what lies beyond the command's own data does not count.
    """

    status: int
    data: bytes
    sense: bytes


class Session(Protocol):
    """An initiator that is logged in; its methods block."""

    def execute(self, cdb: bytes, data_out: bytes, room: int, lun: int) -> Answer:
        """Run a command to its end.

        :param room: how many bytes of data-in are expected.
        :raises OSError: the session has ended.
        """

    def log_out(self) -> None:
        """End the session as the standard asks for."""

    def vanish(self) -> None:
        """Break the connection, even while another thread runs a command."""


class Rig(TurnedLoop):
    """A started transport with its host and loop.

    :param driver: the transport as the daemon deals with it: what begins or ends something goes through it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, host: TestHost, driver: LocalDriver | DriverOnThisLoop) -> None:
        super().__init__(loop)
        self.host = host
        self.driver = driver

    @property
    def transport(self) -> Transport:
        """The transport itself, to look at."""
        return self.driver.transport

    def end(self) -> None:
        """Close the transport.

        :raises AssertionError: something is in use even then.
        """
        for lun in range(2):
            self.host.device(lun).release()
        self.run(self.driver.stop_listening())
        self.run(self.driver.close())
        assert self.transport.sessions() == []
        self.host.check_quiet()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call what blocks, beside the loop."""
        return self.run(asyncio.to_thread(function, *args))

    def begin(self, function: Callable[..., Any], *args: Any) -> "asyncio.Task[Any]":
        """The same, without waiting for it."""
        return self.loop.create_task(asyncio.to_thread(function, *args))

    def execute(self, session: Session, cdb: bytes, data_out: bytes = b"", room: int = 0, lun: int = 0) -> Answer:
        """Run a command."""
        answer: Answer = self.call(session.execute, cdb, data_out, room, lun)
        return answer

    def hold(self, session: Session, lun: int = 0) -> "asyncio.Task[Any]":
        """Begin a command that goes on until the device releases it, and wait until it has."""
        running = self.begin(session.execute, HELD, b"", 0, lun)
        self.until(lambda: self.host.device(lun).held, "the command's arrival")
        return running

    def ended(self, running: "asyncio.Task[Any]") -> BaseException | None:
        """Wait for a command; what its initiator met instead of an answer."""
        self.until(running.done, "the end of the command")
        return running.exception()
