"""Attends to one driver on the core's side of the ring: its requests become nexuses and tasks.

When the driver dies or breaks a rule, everything of it is reclaimed: its nexuses are lost, and with them their tasks.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any

from tgtcore.errors import RingError, TgtError
from tgtcore.isolation.events import Events
from tgtcore.isolation.ports import checked_initiator, checked_target_port
from tgtcore.isolation.refusals import status_of
from tgtcore.isolation.ring_task import RingTask
from tgtcore.isolation.signalling import heard
from tgtcore.limits import (
    CDB_BYTES_MAX,
    NEXUSES_PER_DRIVER_MAX,
    PARAMETER_LIST_BYTES_MAX,
    RING_PAYLOAD_BYTES_MAX,
    SOCKETS_PER_DRIVER_MAX,
)
from tgtcore.nexus import InitiatorPort, Nexus, TargetPort, Tmf, TmfRequest, TmfResponse
from tgtcore.packets import hang_up
from tgtcore.ring import (
    Attached,
    CoreEnd,
    OpenStatus,
    Request,
    Response,
    RingFunction,
    close_listening,
    messages,
    receive_socket,
    send_socket,
    words,
)
from tgtcore.ring.core_end import Handler
from tgtcore.ring.layout import Layout
from tgtcore.target import Target
from tgtcore.task import State
from tgtcore.transport import Host

_log = logging.getLogger(__name__)

_CDB_BYTES_USUAL = 16
HUNG_UP = "it has hung up"
"""Why a driver is dropped that has ended by itself, or was killed."""
_NO_ROOM = memoryview(b"")


class Attendant:
    """The core's side of one ring.

    :param host: what the driver may ask for.
    :param inherited: gives a socket that listens at an address already, which stays its owner's; None: there is none.
    :param lost: called once, with the reason, when the driver has died or broken a rule; everything of it is being reclaimed then.
    """

    def __init__(
        self,
        host: Host,
        attached: Attached,
        inherited: Callable[[str], socket.socket | None],
        lost: Callable[[str], None],
    ) -> None:
        self.passed_on: list[tuple[str, socket.socket]] = []
        """Listening sockets that the driver has passed on, with their addresses; whoever takes them out owns them."""
        self.targets: dict[int, Target] = {}
        """The targets that the driver was told of, by number."""
        self.tasks: dict[int, RingTask] = {}
        """Its commands that have not ended, by id."""
        self.nexuses: dict[int, Nexus] = {}
        """By the number that the driver has given each."""
        self._host = host
        self._inherited = inherited
        self._lost = lost
        self._link = attached.link
        self._name = attached.peer
        self._depth = attached.memory.geometry.depth
        self._others: set[int] = set()
        """Ids of its other requests that are not answered."""
        self._closing: set[int] = set()
        handlers: dict[int, Handler] = {
            Request.COMMAND: self._command,
            Request.DATA: self._data,
            Request.TASK_MANAGEMENT: self._task_management,
            Request.NEXUS_OPEN: self._nexus_open,
            Request.NEXUS_CLOSE: self._nexus_close,
            Request.ADMIT: self._admit,
            Request.ACCOUNT: self._account,
            Request.ACKNOWLEDGE: self._acknowledge,
            Request.INHERIT: self._inherit,
            Request.SIGNAL: self._signal,
        }
        self.end = CoreEnd(
            attached.memory, attached.request_bell, attached.response_bell, host.loop, handlers, self._broken
        )
        self.events = Events(self.end, attached.memory)
        self._link.setblocking(False)
        host.loop.add_reader(self._link, self.link_readable)

    # ---- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hang up and reclaim everything; idempotent."""
        self.end.close()
        self.events.close()
        if self._link.fileno() >= 0:
            self._host.loop.remove_reader(self._link)
            hang_up(self._link)
        for nexus in list(self.nexuses.values()):
            nexus.close(lambda: None)
        self.nexuses.clear()
        for _, passed_on in self.passed_on:
            close_listening(passed_on)
        self.passed_on.clear()

    def drop(self, reason: str) -> None:
        """Part with a driver that does not behave."""
        if self._link.fileno() >= 0:
            self.close()
            self._lost(reason)

    def _broken(self, reason: str) -> None:
        self.drop(f"it broke the rules of the ring: {reason}")

    def link_readable(self) -> None:
        """Take the sockets that the driver passes on, and notice its end."""
        while self._link.fileno() >= 0:
            try:
                passed_on = receive_socket(self._link)
            except BlockingIOError:
                return
            except OSError:
                passed_on = None
            except RingError as error:
                self.drop(str(error))
                return
            if passed_on is None:
                self.drop(HUNG_UP)
                return
            self.passed_on.append(passed_on)
            if len(self.passed_on) > SOCKETS_PER_DRIVER_MAX:
                self.drop(f"it passes on more than {SOCKETS_PER_DRIVER_MAX} sockets")

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _command(self, slots: memoryview, at: int) -> None:
        (
            _,
            attribute,
            cdb_length,
            number,
            request_id,
            lun,
            out_offset,
            in_offset,
            out_length,
            out_expected,
            in_room,
            in_expected,
            cdb_offset,
            cdb,
        ) = messages.COMMAND.unpack_from(slots, at)
        nexus = self.nexuses.get(number)
        if nexus is None:
            raise RingError(f"a command for nexus {number}, which is not open")
        if request_id in self.tasks or len(self.tasks) + len(self._others) >= self._depth:
            self._refuse_id(request_id)
        if out_length > out_expected or in_room > in_expected:
            raise RingError("a command with lengths that can't be")
        end = self.end
        if cdb_length > messages.CDB_INLINE_BYTES:
            cdb = self._long_cdb(cdb_offset, cdb_length)
        else:
            cdb = cdb[: max(cdb_length, _CDB_BYTES_USUAL)]
        task = RingTask(nexus, lun, request_id, attribute, cdb, out_expected, in_expected)
        task.attendant = self
        task.room = end.piece(in_offset, in_room)
        if out_length:
            data = end.piece(out_offset, out_length)
            # what is parsed must not change while it is
            task.data_out = bytes(data) if out_length <= PARAMETER_LIST_BYTES_MAX else data
        self.tasks[request_id] = task
        if nexus.leases.draining:
            self._answer_lost(task)
        else:
            nexus.submit(task)

    def _long_cdb(self, offset: int, length: int) -> bytes:
        if length > CDB_BYTES_MAX:
            raise RingError(f"a CDB of {length} bytes, expected at most {CDB_BYTES_MAX}")
        return bytes(self.end.piece(offset, length))

    def _refuse_id(self, request_id: int) -> None:
        if request_id in self.tasks or request_id in self._others:
            raise RingError(f"request id {request_id:#x} is in use")
        raise RingError(f"more than {self._depth} requests are unanswered")

    def _answer_lost(self, task: RingTask) -> None:
        """The core has closed the nexus, and the driver does not know yet."""
        task.responds = False
        self.ended(task)

    def ended(self, task: RingTask) -> None:
        """Tell of the end of a command; called by the task."""
        del self.tasks[task.tag]
        end = self.end
        if end.closed:
            task.room, task.data_out = _NO_ROOM, None  # whoever still knows the task must not keep the memory mapped
            return
        length = task.place_data_in()
        sense = task.sense[: messages.SENSE_BYTES]
        at = end.slot()
        messages.COMPLETION_HEAD.pack_into(
            end.responses,
            at,
            Response.COMPLETION,
            task.status if task.responds else 0,
            0 if task.responds else messages.SILENT,
            len(sense),
            task.tag,
            length,
            task.wanted_out,
            0,
        )
        if sense:
            at += messages.COMPLETION_HEAD.size
            end.responses[at : at + len(sense)] = sense

    def want_data(self, task: RingTask) -> None:
        """Ask for data-out; called by the task."""
        end = self.end
        if end.closed:
            return  # the nexus is being lost
        messages.WANT_DATA.pack_into(end.responses, end.slot(), Response.WANT_DATA, 0, 0, task.awaited, task.tag)

    def _data(self, slots: memoryview, at: int) -> None:
        _, _, _, length, request_id, offset = messages.DATA.unpack_from(slots, at)
        task = self.tasks.get(request_id)
        if task is None:
            return  # aborted while its data was under way
        if task.state is not State.DATA or length != task.awaited:
            raise RingError(f"DATA of {length} bytes for {task}, expected {task.awaited}")
        task.awaited = 0
        data = self.end.piece(offset, length)
        task.data_out = bytes(data) if length <= PARAMETER_LIST_BYTES_MAX else data
        task.data_arrived()

    # ---- task management ----------------------------------------------------------------------------------------------

    def _task_management(self, slots: memoryview, at: int) -> None:
        _, function, _, number, request_id, lun, referenced = messages.TASK_MANAGEMENT.unpack_from(slots, at)
        nexus = self.nexuses.get(number)
        if nexus is None:
            raise RingError(f"task management for nexus {number}, which is not open")
        self._begin(request_id)

        def answer(response: TmfResponse) -> None:
            self._respond(
                messages.TASK_MANAGEMENT_DONE, request_id, Response.TASK_MANAGEMENT_DONE, response, 0, 0, request_id
            )

        if function == RingFunction.NEXUS_TASKS:
            nexus.abort_tasks(lambda: answer(TmfResponse.FUNCTION_COMPLETE))
        elif function in _FUNCTIONS:
            nexus.manage(TmfRequest(_FUNCTIONS[function], lun, referenced), answer)
        else:
            raise RingError(f"there is no task management function {function}")

    # ---- nexuses ------------------------------------------------------------------------------------------------------

    def _nexus_open(self, slots: memoryview, at: int) -> None:
        _, protocol, relative_id, number, request_id, offset, length, target, group, _ = (
            messages.NEXUS_OPEN.unpack_from(slots, at)
        )
        if number in self.nexuses or len(self.nexuses) >= NEXUSES_PER_DRIVER_MAX:
            raise RingError(f"nexus {number} is open already, or one of more than {NEXUSES_PER_DRIVER_MAX}")
        name, address, transport_id, port = words.split(self._payload(offset, length), 4)
        initiator_port = _initiator_port(name, address, transport_id)
        target_port = checked_target_port(TargetPort(words.text(port), relative_id, group, protocol))
        self._begin(request_id)
        status, text = self._open(number, target, initiator_port, target_port)
        self._respond(messages.NEXUS_OPENED, request_id, Response.NEXUS_OPENED, status, 0, len(text), request_id, text)

    def _open(
        self, number: int, target: int, initiator_port: InitiatorPort, target_port: TargetPort
    ) -> tuple[OpenStatus, bytes]:
        found = self.targets.get(target)
        if found is None:
            return OpenStatus.TARGET_GOING_AWAY, b"the target is gone"
        try:
            self.nexuses[number] = self._host.open_nexus(found, initiator_port, target_port)
        except TgtError as error:
            return status_of(error), str(error).encode()[: messages.SENSE_BYTES]
        return OpenStatus.OPENED, b""

    def _nexus_close(self, slots: memoryview, at: int) -> None:
        _, logged_out, _, number, request_id = messages.NEXUS_CLOSE.unpack_from(slots, at)
        nexus = self.nexuses.get(number)
        if nexus is None or number in self._closing:
            raise RingError(f"nexus {number} is closed, but is not open")
        self._begin(request_id)
        self._closing.add(number)
        nexus.logged_out = bool(logged_out)

        def closed() -> None:
            self._closing.discard(number)
            self.nexuses.pop(number, None)
            self._respond(messages.NEXUS_CLOSED, request_id, Response.NEXUS_CLOSED, 0, 0, 0, request_id)

        nexus.close(closed)

    # ---- questions ------------------------------------------------------------------------------------------------------

    def _admit(self, slots: memoryview, at: int) -> None:
        _, _, _, target, request_id, offset, length, _ = messages.ADMIT.unpack_from(slots, at)
        name, address, transport_id, portal = words.split(self._payload(offset, length), 4)
        port = _initiator_port(name, address, transport_id)
        found = self.targets.get(target)
        self._begin(request_id)
        admitted = found is not None and self._host.admits(found, port, words.text(portal))
        self._respond(messages.ADMITTED, request_id, Response.ADMITTED, admitted, 0, 0, request_id)

    def _account(self, slots: memoryview, at: int) -> None:
        _, _, _, length, request_id, offset, room, _ = messages.ACCOUNT.unpack_from(slots, at)
        account = self._host.account(words.text(self._payload(offset, length)))
        place = self.end.piece(offset, room)
        self._begin(request_id)
        answer = b"" if account is None else words.join((account.name.encode(), account.secret))
        found = account is not None and len(answer) <= room
        if found:
            place[: len(answer)] = answer
        self._respond(
            messages.ACCOUNT_FOUND, request_id, Response.ACCOUNT_FOUND, found, 0, len(answer) * found, request_id
        )

    def _inherit(self, slots: memoryview, at: int) -> None:
        _, _, _, length, request_id, offset = messages.INHERIT.unpack_from(slots, at)
        address = words.text(self._payload(offset, length))
        self._begin(request_id)
        listening = self._inherited(address)
        if listening is not None:
            try:
                send_socket(self._link, address, listening)
            except OSError:
                listening = None
        self._respond(messages.INHERITED, request_id, Response.INHERITED, listening is not None, 0, 0, request_id)

    def _signal(self, slots: memoryview, at: int) -> None:
        _, _, _, length, request_id, offset = messages.SIGNAL.unpack_from(slots, at)
        payload = self._payload(offset, length)
        self._begin(request_id)
        heard(payload, self.targets, self._name)
        self._respond(messages.SIGNAL_HEARD, request_id, Response.SIGNAL_HEARD, 0, 0, 0, request_id)

    def _acknowledge(self, slots: memoryview, at: int) -> None:
        _, status, _, length, event_id = messages.ACKNOWLEDGE.unpack_from(slots, at)
        self.events.acknowledged(event_id, status, length)

    def _payload(self, offset: int, length: int) -> bytes:
        if length > RING_PAYLOAD_BYTES_MAX:
            raise RingError(f"a payload of {length} bytes, expected at most {RING_PAYLOAD_BYTES_MAX}")
        return bytes(self.end.piece(offset, length))

    def _begin(self, request_id: int) -> None:
        """Count in a request that is no command."""
        if request_id in self._others or len(self.tasks) + len(self._others) >= self._depth:
            self._refuse_id(request_id)
        self._others.add(request_id)

    def _respond(self, layout: Layout, request_id: int, *values: Any) -> None:
        self._others.discard(request_id)
        end = self.end
        if not end.closed:
            layout.pack_into(end.responses, end.slot(), *values)


def _initiator_port(name: bytes, address: bytes, transport_id: bytes) -> InitiatorPort:
    """An initiator port as a driver tells of it.

    :raises RingError: there can be none such.
    """
    return checked_initiator(InitiatorPort(words.text(name), transport_id, words.text(address)))


_FUNCTIONS = {member.value: Tmf[member.name] for member in RingFunction if member is not RingFunction.NEXUS_TASKS}
