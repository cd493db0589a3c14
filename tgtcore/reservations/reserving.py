"""PERSISTENT RESERVE OUT: RESERVE, RELEASE and CLEAR (SPC-5 5.14.9 and 5.14.11)."""

from dataclasses import replace

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.reservations.classes import ADMITS_REGISTRANTS
from tgtcore.reservations.request import Code, Outcome, Request
from tgtcore.reservations.state import NexusIdentity, Reservation, State
from tgtcore.scsi import asc
from tgtcore.scsi.parameters import ILLEGAL_REQUEST
from tgtcore.scsi.persistent import LU_SCOPE


def check_key(state: State, request: Request) -> None:
    """Refuse who is not registered, or names another key than the registered one.

    :raises ReservationConflict: the nexus may not act.
    """
    if state.registrations.get(request.nexus) != request.parameters.key:
        raise ReservationConflict("the nexus is not registered with that reservation key")


def released(before: State, after: State, nexus: NexusIdentity) -> tuple[tuple[NexusIdentity, Code], ...]:
    """The attentions of a reservation that has ended: only types that admit registrants tell the others."""
    held = before.reservation
    if held is None or after.reservation is not None or held.type not in ADMITS_REGISTRANTS:
        return ()
    return tuple((other, asc.RESERVATIONS_RELEASED) for other in after.others(nexus))


def reserve(state: State, request: Request) -> Outcome:
    """RESERVE: establish a reservation; who has the same one already keeps it."""
    check_key(state, request)
    kind = request.reservation_type()
    held = state.reservation
    if held is None:
        return Outcome(before=state, state=replace(state, reservation=Reservation.by(request.nexus, kind)))
    if held.type is not kind or not state.holds(request.nexus):
        raise ReservationConflict("there is another persistent reservation")
    return Outcome(before=state, state=state)


def release(state: State, request: Request) -> Outcome:
    """RELEASE: end the reservation; from a registrant that does not hold it nothing happens."""
    check_key(state, request)
    if not state.holds(request.nexus):
        return Outcome(before=state, state=state)
    assert state.reservation is not None
    if (request.scope, request.type) != (LU_SCOPE, state.reservation.type):
        raise CheckCondition(ILLEGAL_REQUEST, asc.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
    after = replace(state, reservation=None)
    return Outcome(before=state, state=after, attentions=released(state, after, request.nexus))


def clear(state: State, request: Request) -> Outcome:
    """CLEAR: remove the reservation and all registrations."""
    check_key(state, request)
    return Outcome(
        before=state,
        state=state.without(state.registrations).counted(),
        attentions=tuple((other, asc.RESERVATIONS_PREEMPTED) for other in state.others(request.nexus)),
    )
