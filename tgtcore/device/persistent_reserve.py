"""PERSISTENT RESERVE IN and PERSISTENT RESERVE OUT (SPC-5 6.16, 6.17)."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tgtcore import signals
from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import parameter_list_length_error
from tgtcore.device.target_port_groups import ports_of
from tgtcore.limits import PARAMETER_LIST_BYTES_MAX
from tgtcore.reservations import Outcome, Request
from tgtcore.scsi.parameters import ParameterError
from tgtcore.scsi.persistent import InAction, OutAction, parse_reserve_out
from tgtcore.scsi.status import Status
from tgtcore.task import PENDING, Task

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import ITLNexus, Nexus

_log = logging.getLogger(__name__)

_H = TypeVar("_H", bound=Callable[..., Any])

_IN, _OUT = 0x5E, 0x5F
_SERVICE_ACTION = 0x1F


def _each_in_action(handler: _H) -> _H:
    for action in InAction:
        command(_IN, f"5E {action:02X} 00 00 00 00 00 FF FF 00", service_action=action)(handler)
    return handler


def _each_out_action(wants: Callable[[Any, Task], int]) -> Callable[[_H], _H]:
    def mark(handler: _H) -> _H:
        for action in OutAction:
            command(_OUT, f"5F {action:02X} FF 00 00 FF FF FF FF 00", service_action=action, wants=wants)(handler)
        return handler

    return mark


class PersistentReserveCommands(DeviceType):
    """PERSISTENT RESERVE IN and OUT with all service actions.

    What must outlive the power is saved before anything changes; while that goes on, later PERSISTENT RESERVE OUT commands wait.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._saving = False
        self._waiting: list[Task] = []

    @_each_in_action
    def persistent_reserve_in(self, task: Task) -> None:
        """PERSISTENT RESERVE IN."""
        action = InAction(task.cdb[1] & _SERVICE_ACTION)
        can_persist = self.lu.saved_state is not None
        data = self.lu.reservations.persistent_reserve_in(action, can_persist=can_persist)
        task.data_in = data[: int.from_bytes(task.cdb[7:9], "big")]

    def wants_persistent_reserve_out(self, task: Task) -> int:
        """The parameter list length."""
        length = int.from_bytes(task.cdb[5:9], "big")
        if length > PARAMETER_LIST_BYTES_MAX:
            raise parameter_list_length_error()
        return length

    @_each_out_action(wants_persistent_reserve_out)
    def persistent_reserve_out(self, task: Task) -> Any:
        """PERSISTENT RESERVE OUT."""
        if self._saving:
            self._waiting.append(task)
            return PENDING
        outcome = self.lu.reservations.persistent_reserve_out(self._request(task))
        to_save = outcome.to_save
        if to_save is None:
            self._adopt(task, outcome)
            return PENDING

        def saved(result: Any, error: BaseException | None) -> None:
            self._saving = False
            try:
                if error is None:
                    self._adopt(task, outcome)
                else:
                    self.lu.fail(task, error)
            finally:
                while self._waiting and not self._saving:
                    self._run_again(self._waiting.pop(0))

        assert self.lu.saved_state is not None
        self._saving = True
        self.lu.run(self.lu.saved_state.save, (to_save,), saved)
        return PENDING

    def _run_again(self, task: Task) -> None:
        try:
            if task.abort_status is None:
                task.run_again()
            else:
                task.finish(Status.GOOD, b"")
        except Exception:  # a defect; those that wait behind it belong to others
            _log.exception("%s could not go on when its turn came", task)

    def _request(self, task: Task) -> Request:
        cdb, nexus = task.cdb, task.nexus
        action = OutAction(cdb[1] & _SERVICE_ACTION)
        data = bytes(task.data_out or b"")[: task.wanted_out]
        if len(data) < task.wanted_out:
            raise parameter_list_length_error()
        try:
            parameters = parse_reserve_out(action, data)
        except ParameterError as error:
            raise error.check_condition() from None
        return Request(
            nexus=nexus.identity,
            action=action,
            scope=cdb[2] >> 4,
            type=cdb[2] & 0x0F,
            parameters=parameters,
            target_ports={port.relative_id: port.name for port in ports_of(nexus)},
            initiator_ports=[other.identity.transport_id for other in self.lu.nexuses()],
            can_persist=self.lu.saved_state is not None,
        )

    def _adopt(self, task: Task, outcome: Outcome) -> None:
        """Make an outcome true, tell who is concerned, abort what is to be aborted, then end the task."""
        lu, itl = self.lu, task.itl
        assert itl is not None
        lu.reservations.adopt(outcome)
        nexuses = {other.identity: other for other in lu.nexuses()}
        for identity, code in outcome.attentions:
            if (concerned := _itl(nexuses.get(identity), lu)) is not None:
                concerned.establish_attention(code)
        for identity in outcome.aborted:
            if (concerned := _itl(nexuses.get(identity), lu)) is not None:
                concerned.prevents_removal = False
        signals.emit(signals.reservations_changed, lu, aptpl=outcome.state.persist)

        def to_abort(other: Task) -> bool:
            return other is not task and other.itl is not None and other.itl.identity in outcome.aborted

        lu.abort_tasks(to_abort, itl, lambda: task.finish(Status.GOOD, b""))


def _itl(nexus: "Nexus | None", lu: "LogicalUnit") -> "ITLNexus | None":
    return None if nexus is None else nexus.itl(lu.maps[nexus.lun_map])
