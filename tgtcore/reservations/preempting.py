"""PERSISTENT RESERVE OUT: PREEMPT and PREEMPT AND ABORT (SPC-5 5.14.11.2.4 to 5.14.11.2.6)."""

from dataclasses import replace

from tgtcore.errors import ReservationConflict
from tgtcore.reservations.request import Outcome, Request, invalid_parameter
from tgtcore.reservations.reserving import check_key
from tgtcore.reservations.state import NexusIdentity, Reservation, State
from tgtcore.scsi import asc


def preempt(state: State, request: Request) -> Outcome:
    """PREEMPT: remove the registrations of a key, and take the reservation over if that key holds it."""
    check_key(state, request)
    key = request.parameters.service_key
    held = state.reservation
    if not key:
        if held is None or held.holder is not None:
            raise invalid_parameter("the service action reservation key is zero", 8)
        return _take_over(state, request, set(state.registrations))
    victims = {nexus for nexus, registered in state.registrations.items() if registered == key}
    if held is not None and held.holder in victims:
        return _take_over(state, request, victims)
    if not victims:
        raise ReservationConflict("nobody is registered with the service action reservation key")
    return Outcome(
        before=state,
        state=state.without(victims).counted(),
        attentions=tuple(
            (victim, asc.REGISTRATIONS_PREEMPTED) for victim in _ordered(state, victims - {request.nexus})
        ),
    )


def preempt_and_abort(state: State, request: Request) -> Outcome:
    """PREEMPT AND ABORT: the same, and the tasks of all nexuses with that key end, the sender's own included."""
    key = request.parameters.service_key
    victims = (nexus for nexus, registered in state.registrations.items() if not key or registered == key)
    return replace(preempt(state, request), aborted=frozenset(victims))


def _take_over(state: State, request: Request, victims: set[NexusIdentity]) -> Outcome:
    """The sender gets the reservation and stays registered, even if it preempts itself."""
    assert state.reservation is not None
    kind = request.reservation_type()
    lost = victims - {request.nexus}
    after = replace(state.without(lost), reservation=Reservation.by(request.nexus, kind))
    attentions = [(victim, asc.REGISTRATIONS_PREEMPTED) for victim in _ordered(state, lost)]
    if kind is not state.reservation.type:
        attentions += [(other, asc.RESERVATIONS_RELEASED) for other in after.others(request.nexus)]
    return Outcome(before=state, state=after.counted(), attentions=tuple(attentions))


def _ordered(state: State, nexuses: set[NexusIdentity]) -> list[NexusIdentity]:
    return [nexus for nexus in state.registrations if nexus in nexuses]
