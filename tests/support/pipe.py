"""A transport whose initiators are in the same process, each in a thread of its own: the smallest one that keeps every promise."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ClassVar

from tgtcore import (
    Host,
    InitiatorPort,
    NoOptions,
    PortalInfo,
    SessionInfo,
    Target,
    TargetPort,
    Task,
    TgtError,
    Transport,
)
from tgtcore.scsi.lun import encode_lun
from tgtcore.testing.transport_rig import Answer

WAIT_S = 20


class PipeTask(Task):
    """A command that came through a pipe."""

    offered: bytes
    answer: "Future[Answer]"

    def want_data(self) -> None:
        self.data_out = self.offered[: min(self.wanted_out, self.expected_out)]
        self.data_arrived()

    def done(self) -> None:
        if self.responds:
            data: Any = self.data_in or b""
            self.answer.set_result(Answer(self.status, bytes(data)[: self.expected_in], self.sense))


class PipeSession:
    """An initiator with its nexus; the methods without underscore are called in its own thread."""

    def __init__(self, transport: "PipeTransport", number: int, nexus: Any) -> None:
        self.transport = transport
        self.number = number
        self.nexus = nexus
        self.waiting: list[Future[Answer]] = []
        self.tag = 0

    def execute(self, cdb: bytes, data_out: bytes, room: int, lun: int) -> Answer:
        return self.begin(cdb, data_out, room, lun).result(WAIT_S)

    def begin(self, cdb: bytes, data_out: bytes = b"", room: int = 0, lun: int = 0) -> "Future[Answer]":
        answer: Future[Answer] = Future()
        self.transport.later(self._submit, cdb, data_out, room, lun, answer)
        return answer

    def log_out(self) -> None:
        ended: Future[None] = Future()
        self.transport.later(self.end, lambda: ended.set_result(None))
        ended.result(WAIT_S)

    def vanish(self) -> None:
        self.transport.later(self.end, lambda: None)

    def _submit(self, cdb: bytes, data_out: bytes, room: int, lun: int, answer: "Future[Answer]") -> None:
        if self.nexus.leases.draining:
            answer.set_exception(ConnectionError("the session has ended"))
            return
        self.tag += 1
        field = int.from_bytes(encode_lun(lun), "big")
        task = self.transport.Task(self.nexus, field, self.tag, 1, cdb.ljust(16, b"\0"), len(data_out), room)
        task.offered, task.answer = data_out, answer
        self.waiting.append(answer)
        self.nexus.submit(task)

    def end(self, then: Callable[[], None]) -> None:
        """Close the nexus; whoever waits for an answer hears that there is none."""

        def gone() -> None:
            self.transport.open.pop(str(self.number), None)
            then()

        self.nexus.close(gone)
        for answer in self.waiting:
            if not answer.done():
                answer.set_exception(ConnectionError("the session has ended"))


class PipeTransport(Transport):
    """Sessions by number."""

    protocol: ClassVar[int] = 5
    Task: ClassVar[type[PipeTask]] = PipeTask

    def __init__(self, host: Host) -> None:
        super().__init__(host, NoOptions())
        self.listening = False
        self.open: dict[str, PipeSession] = {}
        self._count = 0

    def later(self, function: Callable[..., None], *args: Any) -> None:
        """Call something on the loop's thread."""
        self.host.loop.call_soon_threadsafe(function, *args)

    def target_ports(self, target: Target) -> list[TargetPort]:
        return [TargetPort(f"{target.name},1", 1, 1, self.protocol)]

    async def start(self) -> None:
        self.listening = True

    async def stop_listening(self) -> None:
        self.listening = False

    async def drop_target(self, target: Target) -> None:
        await self.close()

    async def close(self) -> None:
        for session_id in list(self.open):
            await self.drop_session(session_id)

    async def drop_session(self, session_id: str) -> bool:
        session = self.open.get(session_id)
        if session is None:
            return False
        ended = self.host.loop.create_future()
        session.end(lambda: ended.set_result(None))
        await ended
        return True

    def portals(self) -> list[PortalInfo]:
        return [PortalInfo("pipe", 1)] if self.listening else []

    def sessions(self) -> list[SessionInfo]:
        return [
            SessionInfo(
                number,
                one.nexus.target.name,
                one.nexus.initiator_port.name,
                "pipe",
                len(one.nexus.tasks),
                portal="pipe",
                nexus=one.nexus,
            )
            for number, one in self.open.items()
        ]

    def log_in(self, target: str) -> PipeSession:
        """What an initiator's thread does first."""
        seat: Future[PipeSession] = Future()
        self.later(self._log_in, target, seat)
        return seat.result(WAIT_S)

    def _log_in(self, name: str, seat: "Future[PipeSession]") -> None:
        target = self.host.find_target(name)
        port = InitiatorPort("host", b"host", "pipe")
        if target is None or not self.host.admits(target, port, "pipe"):
            seat.set_exception(PermissionError("not admitted"))
            return
        try:
            nexus = self.host.open_nexus(target, port, self.target_ports(target)[0])
        except TgtError as error:
            seat.set_exception(error)
            return
        self._count += 1
        self.open[str(self._count)] = PipeSession(self, self._count, nexus)
        seat.set_result(self.open[str(self._count)])
