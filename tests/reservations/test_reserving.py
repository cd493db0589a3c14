import pytest
from support.registrants import ALICE, BOB, CAROL, plan, registered

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.reservations import NexusIdentity, Reservation, State
from tgtcore.scsi import asc
from tgtcore.scsi.persistent import OutAction, ReservationType

RESERVE, RELEASE, CLEAR = OutAction.RESERVE, OutAction.RELEASE, OutAction.CLEAR
WE, EA = ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS
KEYS = {ALICE: 0xA, BOB: 0xB}


@pytest.mark.parametrize("action", [RESERVE, RELEASE, CLEAR, OutAction.PREEMPT, OutAction.PREEMPT_AND_ABORT])
@pytest.mark.parametrize(("who", "key"), [(CAROL, 0), (CAROL, 0xA), (ALICE, 0), (ALICE, 0xB)])
def test_who_is_not_registered_with_that_key_does_nothing(action: OutAction, who: NexusIdentity, key: int) -> None:
    with pytest.raises(ReservationConflict):
        plan(registered(KEYS), who, action, key=key, new=0xB, kind=WE)


@pytest.mark.parametrize("kind", ReservationType)
def test_a_registrant_reserves_and_may_repeat_it(kind: ReservationType) -> None:
    reservations = registered(KEYS)
    outcome = plan(reservations, ALICE, RESERVE, key=0xA, kind=kind)
    assert outcome.state == State(KEYS, Reservation.by(ALICE, kind), generation=2)
    assert outcome.attentions == ()
    reservations.adopt(outcome)
    again = plan(reservations, ALICE, RESERVE, key=0xA, kind=kind)
    assert again.state is again.before


@pytest.mark.parametrize("kind", ReservationType)
@pytest.mark.parametrize("wanted", ReservationType)
def test_a_second_reservation_conflicts(kind: ReservationType, wanted: ReservationType) -> None:
    reservations = registered(KEYS, kind)
    for who in (ALICE, BOB):
        if reservations.state.holds(who) and wanted is kind:
            assert plan(reservations, who, RESERVE, key=KEYS[who], kind=wanted).state is reservations.state
        else:
            with pytest.raises(ReservationConflict):
                plan(reservations, who, RESERVE, key=KEYS[who], kind=wanted)


@pytest.mark.parametrize("kind", sorted(set(range(16)) - set(ReservationType)))
def test_types_that_there_are_not(kind: int) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered(KEYS), ALICE, RESERVE, key=0xA, kind=kind)
    assert (caught.value.code, caught.value.field) == (asc.INVALID_FIELD_IN_CDB, (2, 3))


@pytest.mark.parametrize("scope", range(1, 16))
def test_scopes_that_there_are_not(scope: int) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered(KEYS), ALICE, RESERVE, key=0xA, kind=1, scope=scope)
    assert (caught.value.code, caught.value.field) == (asc.INVALID_FIELD_IN_CDB, (2, 7))


@pytest.mark.parametrize("kind", ReservationType)
def test_a_release_tells_the_other_registrants_that_had_access(kind: ReservationType) -> None:
    outcome = plan(registered(KEYS | {CAROL: 0xC}, kind), ALICE, RELEASE, key=0xA, kind=kind)
    assert outcome.state == State(KEYS | {CAROL: 0xC}, generation=3)
    told = () if kind in (WE, EA) else (BOB, CAROL)
    assert outcome.attentions == tuple((who, asc.RESERVATIONS_RELEASED) for who in told)


@pytest.mark.parametrize("kind", [kind for kind in ReservationType if kind.name.endswith("ALL_REGISTRANTS")])
def test_any_registrant_releases_what_all_hold(kind: ReservationType) -> None:
    outcome = plan(registered(KEYS, kind), BOB, RELEASE, key=0xB, kind=kind)
    assert outcome.state.reservation is None
    assert outcome.attentions == ((ALICE, asc.RESERVATIONS_RELEASED),)


def test_who_holds_nothing_releases_nothing() -> None:
    reservations = registered(KEYS, WE)
    for kind in (WE, EA, 0):
        assert plan(reservations, BOB, RELEASE, key=0xB, kind=kind).state is reservations.state
    free = registered(KEYS)
    assert plan(free, ALICE, RELEASE, key=0xA, kind=WE).state is free.state


@pytest.mark.parametrize(("kind", "scope"), [(EA, 0), (0, 0), (WE, 1)])
def test_the_holder_must_name_what_it_releases(kind: int, scope: int) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered(KEYS, WE), ALICE, RELEASE, key=0xA, kind=kind, scope=scope)
    assert caught.value.code == asc.INVALID_RELEASE_OF_PERSISTENT_RESERVATION


@pytest.mark.parametrize("kind", [None, *ReservationType])
def test_clear_removes_everything_and_tells_everybody_else(kind: ReservationType | None) -> None:
    outcome = plan(registered(KEYS | {CAROL: 0xC}, kind), BOB, CLEAR, key=0xB, kind=15, scope=15)
    assert outcome.state == State(generation=4)
    assert outcome.attentions == ((ALICE, asc.RESERVATIONS_PREEMPTED), (CAROL, asc.RESERVATIONS_PREEMPTED))
