"""A session: an initiator's nexus, and the connection between the two."""

import asyncio
from typing import TYPE_CHECKING

from sim.environment import Environment
from sim.task import SimTask
from sim.wire import Wire

from tgtcore import Draining, Nexus, TaskState, TmfRequest, TmfResponse, manage

if TYPE_CHECKING:
    from sim.initiator import Initiator, Sent
    from sim.transport import SimTransport


class Session:
    """The target's end of a session."""

    def __init__(self, transport: "SimTransport", nexus: Nexus, initiator: "Initiator", number: int) -> None:
        environment: Environment = transport.environment
        assert environment.loop is not None
        self.id = f"session{number}"
        self.nexus = nexus
        self.initiator = initiator
        self.to_target = Wire(environment.loop, environment.faults)
        self.to_initiator = Wire(environment.loop, environment.faults)
        self.submitted = self.answered = self.silent = 0
        self._transport = transport
        self._environment = environment
        self._judge = environment.judge
        self._closing = False
        self.gone: asyncio.Future[None] = environment.loop.create_future()
        """Done when the nexus is no more."""
        self._judge.watch(nexus)

    def __str__(self) -> str:
        return f"{self.id} of {self.initiator.name}"

    # ---- from the initiator -------------------------------------------------------------------------------------------

    def command(self, sent: "Sent") -> None:
        """A command has come."""
        if self.nexus.leases.draining:
            return
        task = SimTask(self, sent)
        if sent.immediate:
            task.buffer = bytearray(sent.command.data_out)
            task.data_out = task.buffer
        self._environment.trace(self.id, sent)
        self.submitted += 1
        try:
            self._judge.submit(task)
        except Draining as error:
            self._environment.fail(f"{self}: {error}, although the nexus is open")

    def data(self, tag: int, data: bytes) -> None:
        """Data-out has come, for a command that may have ended."""
        task = self.nexus.tasks.get(tag)
        if isinstance(task, SimTask) and task.state is TaskState.DATA:
            task.more_data(data)

    def manage(self, request: TmfRequest, reference: int) -> None:
        """A task management function has come."""
        if self.nexus.leases.draining:
            return
        self._environment.trace(self.id, request.function.name, f"lun={request.lun >> 48} tag={request.tag}")

        def answer(response: TmfResponse) -> None:
            self._environment.trace(self.id, request.function.name, response.name)
            self.to_initiator.send(self.initiator.managed, self, reference, response)

        manage(self.nexus, request, self._judge.manage(self.nexus, request, answer))

    def lost(self) -> None:
        """The initiator has logged out, or the connection is no more."""
        self.close()

    # ---- to the initiator ---------------------------------------------------------------------------------------------

    def want_data(self, task: SimTask) -> None:
        """A command asks for data-out."""
        self._judge.started(task)
        self.to_initiator.send(self.initiator.data_wanted, self, task.sent, len(task.buffer))

    def task_done(self, task: SimTask) -> None:
        """A command has ended."""
        if self._environment.discarding:
            return
        self._environment.trace(self.id, "ended", task.sent, task.status if task.responds else "in silence")
        self._judge.ended(task)
        if task.responds:
            self.answered += 1
            self.to_initiator.send(self.initiator.answered, self, task.sent.tag)
        else:
            self.silent += 1

    def close(self) -> None:
        """End the session: its nexus goes when the last command has ended."""
        if self._closing:
            return
        self._closing = True
        self._environment.trace(self.id, "closes")
        self._judge.closing(self.nexus)
        self.nexus.close(self._closed)

    def _closed(self) -> None:
        self._environment.trace(self.id, "is closed")
        if self.nexus.tasks or self.submitted != self.answered + self.silent:
            self._environment.fail(
                f"{self}: {self.submitted} commands, {self.answered} answers, {self.silent} ended in silence"
            )
        self.to_initiator.cut()
        self.to_target.cut()
        self._transport.forget(self)
        self.initiator.session_closed(self)
        self.gone.set_result(None)
