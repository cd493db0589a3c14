"""PERSISTENT RESERVE IN: what registrations and reservation look like from outside (SPC-5 6.16)."""

from tgtcore.reservations.state import State
from tgtcore.scsi.persistent import (
    FullStatus,
    InAction,
    capabilities_data,
    full_status_data,
    read_keys_data,
    read_reservation_data,
)


def report(action: InAction, state: State, *, can_persist: bool) -> bytes:
    """The whole parameter data of a service action.

    :param can_persist: whether registrations can be kept over power loss.
    """
    if action is InAction.READ_KEYS:
        return read_keys_data(state.generation, state.registrations.values())
    if action is InAction.READ_RESERVATION:
        return _reservation(state)
    if action is InAction.READ_FULL_STATUS:
        return _full_status(state)
    return capabilities_data(can_persist=can_persist, persists=state.persist)


def _reservation(state: State) -> bytes:
    held = state.reservation
    if held is None:
        return read_reservation_data(state.generation, None)
    key = 0 if held.holder is None else state.registrations[held.holder]
    return read_reservation_data(state.generation, (key, held.type))


def _full_status(state: State) -> bytes:
    kind = None if state.reservation is None else state.reservation.type
    return full_status_data(
        state.generation,
        [
            FullStatus(key, nexus.transport_id, nexus.relative_id, kind if state.holds(nexus) else None)
            for nexus, key in state.registrations.items()
        ],
    )
