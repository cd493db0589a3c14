import pytest
from support.registrants import ALICE, BOB, CAROL, DAVE, plan, registered

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.reservations import Reservation, State
from tgtcore.scsi import asc
from tgtcore.scsi.persistent import OutAction, ReservationType

PREEMPT, ABORT = OutAction.PREEMPT, OutAction.PREEMPT_AND_ABORT
WE, EA_RO = ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY
EA_AR = ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS
SINGLE = [kind for kind in ReservationType if not kind.name.endswith("ALL_REGISTRANTS")]
KEYS = {ALICE: 0xA, BOB: 0xB, CAROL: 0xC}
both = pytest.mark.parametrize("action", [PREEMPT, ABORT])


@both
@pytest.mark.parametrize("kind", SINGLE)
def test_the_holder_is_preempted_with_the_same_type(kind: ReservationType, action: OutAction) -> None:
    outcome = plan(registered(KEYS, kind), BOB, action, key=0xB, new=0xA, kind=kind)
    assert outcome.state == State({BOB: 0xB, CAROL: 0xC}, Reservation(kind, BOB), generation=4)
    assert outcome.attentions == ((ALICE, asc.REGISTRATIONS_PREEMPTED),)


@both
@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("wanted", ReservationType)
def test_with_another_type_those_who_stay_are_told(
    kind: ReservationType, wanted: ReservationType, action: OutAction
) -> None:
    outcome = plan(registered(KEYS, kind), BOB, action, key=0xB, new=0xA, kind=wanted)
    assert outcome.state.reservation == Reservation.by(BOB, wanted)
    stay = () if wanted is kind else ((CAROL, asc.RESERVATIONS_RELEASED),)
    assert outcome.attentions == ((ALICE, asc.REGISTRATIONS_PREEMPTED), *stay)


@both
def test_everybody_with_the_holders_key_goes_except_the_sender(action: OutAction) -> None:
    reservations = registered({ALICE: 1, BOB: 1, CAROL: 1, DAVE: 2}, WE)
    outcome = plan(reservations, BOB, action, key=1, new=1, kind=WE)
    assert outcome.state == State({BOB: 1, DAVE: 2}, Reservation(WE, BOB), generation=5)
    assert outcome.attentions == ((ALICE, asc.REGISTRATIONS_PREEMPTED), (CAROL, asc.REGISTRATIONS_PREEMPTED))
    assert outcome.aborted == ({ALICE, BOB, CAROL} if action is ABORT else frozenset())


@both
def test_the_holder_may_preempt_itself_to_change_the_type(action: OutAction) -> None:
    outcome = plan(registered(KEYS, WE), ALICE, action, key=0xA, new=0xA, kind=EA_RO)
    assert outcome.state == State(KEYS, Reservation(EA_RO, ALICE), generation=4)
    assert outcome.attentions == ((BOB, asc.RESERVATIONS_RELEASED), (CAROL, asc.RESERVATIONS_RELEASED))


@both
@pytest.mark.parametrize("kind", [None, *ReservationType])
def test_registrations_of_others_go_and_the_reservation_stays(kind: ReservationType | None, action: OutAction) -> None:
    outcome = plan(registered(KEYS, kind), BOB, action, key=0xB, new=0xC, kind=15, scope=15)
    held = None if kind is None else Reservation.by(ALICE, kind)
    assert outcome.state == State({ALICE: 0xA, BOB: 0xB}, held, generation=4)
    assert outcome.attentions == ((CAROL, asc.REGISTRATIONS_PREEMPTED),)
    assert outcome.aborted == ({CAROL} if action is ABORT else frozenset())


@both
def test_a_sender_that_names_its_own_key_removes_itself_and_is_not_told(action: OutAction) -> None:
    outcome = plan(registered({ALICE: 0xA, BOB: 1, CAROL: 1}, WE), BOB, action, key=1, new=1)
    assert outcome.state == State({ALICE: 0xA}, Reservation(WE, ALICE), generation=4)
    assert outcome.attentions == ((CAROL, asc.REGISTRATIONS_PREEMPTED),)


@both
def test_with_all_registrants_key_zero_takes_the_whole_over(action: OutAction) -> None:
    outcome = plan(registered(KEYS, EA_AR), BOB, action, key=0xB, new=0, kind=WE)
    assert outcome.state == State({BOB: 0xB}, Reservation(WE, BOB), generation=4)
    assert outcome.attentions == ((ALICE, asc.REGISTRATIONS_PREEMPTED), (CAROL, asc.REGISTRATIONS_PREEMPTED))
    assert outcome.aborted == (set(KEYS) if action is ABORT else frozenset())


@both
def test_with_all_registrants_the_reservation_ends_with_the_last_of_them(action: OutAction) -> None:
    outcome = plan(registered({ALICE: 1, BOB: 1}, EA_AR), ALICE, action, key=1, new=1)
    assert outcome.state == State(generation=3)
    assert outcome.attentions == ((BOB, asc.REGISTRATIONS_PREEMPTED),)


@both
@pytest.mark.parametrize("kind", [None, *SINGLE])
def test_key_zero_means_nobody_otherwise(kind: ReservationType | None, action: OutAction) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered(KEYS, kind), BOB, action, key=0xB, new=0, kind=WE)
    refused = (caught.value.code, caught.value.field, caught.value.in_cdb)
    assert refused == (asc.INVALID_FIELD_IN_PARAMETER_LIST, (8, None), False)


@both
@pytest.mark.parametrize("kind", [None, *ReservationType])
def test_a_key_that_nobody_has_conflicts(kind: ReservationType | None, action: OutAction) -> None:
    with pytest.raises(ReservationConflict):
        plan(registered(KEYS, kind), BOB, action, key=0xB, new=0xD, kind=WE)


@both
@pytest.mark.parametrize(("kind", "scope", "bit"), [(0, 0, 3), (1, 1, 7)])
def test_what_is_taken_over_must_have_a_type_and_scope(kind: int, scope: int, bit: int, action: OutAction) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered(KEYS, WE), BOB, action, key=0xB, new=0xA, kind=kind, scope=scope)
    assert (caught.value.code, caught.value.field) == (asc.INVALID_FIELD_IN_CDB, (2, bit))
