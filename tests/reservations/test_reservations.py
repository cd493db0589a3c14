import pytest
from support.registrants import ALICE, BOB, CAROL, plan, registered

from tgtcore.errors import ReservationConflict
from tgtcore.reservations import NexusIdentity, ReservationClass, Reservations, State
from tgtcore.scsi.persistent import InAction, OutAction, ReservationType

EXCLUSIVE = {
    ReservationType.EXCLUSIVE_ACCESS,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
}
HOLDER_ONLY = {ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS}


def reserved(kind: ReservationType) -> Reservations:
    """Alice and Bob are registered, Carol is not, and Alice has reserved."""
    return registered({ALICE: 0xA, BOB: 0xB}, kind)


# ---- RESERVE and RELEASE --------------------------------------------------------------------------------------------


def test_nothing_is_reserved_at_first() -> None:
    reservations = Reservations()
    assert not reservations.active
    assert not reservations.conflict(BOB, ReservationClass.WRITE)


def test_the_holder_keeps_others_out_and_may_reserve_again() -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    reservations.reserve(ALICE)
    assert reservations.active
    refused = {kind for kind in ReservationClass if reservations.conflict(BOB, kind)}
    assert refused == {ReservationClass.READINESS, ReservationClass.READ, ReservationClass.WRITE}
    assert not any(reservations.conflict(ALICE, kind) for kind in ReservationClass)
    with pytest.raises(ReservationConflict):
        reservations.reserve(BOB)


@pytest.mark.parametrize("persist", [False, True])
def test_with_the_power_goes_what_was_not_to_outlive_it(persist: bool) -> None:
    reservations = Reservations()
    reservations.adopt(plan(reservations, ALICE, OutAction.REGISTER, new=0xA, persist=persist))
    reservations.adopt(plan(reservations, ALICE, OutAction.RESERVE, key=0xA, kind=ReservationType.WRITE_EXCLUSIVE))
    reservations.power_lost()
    assert reservations.active is persist
    assert dict(reservations.state.registrations) == ({ALICE: 0xA} if persist else {})
    assert reservations.state.generation == 0


def test_reserve_ends_with_the_power() -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    reservations.power_lost()
    assert not reservations.active


def test_only_the_holder_releases() -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    reservations.release(BOB)
    assert reservations.holder == ALICE
    reservations.release(ALICE)
    assert not reservations.active


@pytest.mark.parametrize("end", ["reset", "loss"])
def test_a_reset_and_the_loss_of_the_holder_end_it(end: str) -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    if end == "reset":
        reservations.reset()
    else:
        reservations.nexus_lost(BOB)
        assert reservations.holder == ALICE
        reservations.nexus_lost(ALICE)
    assert not reservations.active


def test_a_port_of_the_same_number_in_another_target_is_another_nexus() -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    assert reservations.conflict(NexusIdentity(ALICE.transport_id, 1, "another port"), ReservationClass.WRITE)


# ---- both kinds together --------------------------------------------------------------------------------------------


def test_while_reserve_is_in_effect_persistent_reservations_are_out_of_reach() -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    for nexus in (ALICE, BOB):
        with pytest.raises(ReservationConflict):
            plan(reservations, nexus, OutAction.REGISTER, new=1)
    with pytest.raises(ReservationConflict):
        reservations.persistent_reserve_in(InAction.READ_KEYS, can_persist=False)
    reservations.release(ALICE)
    reservations.adopt(plan(reservations, BOB, OutAction.REGISTER, new=1))
    assert reservations.state.registrations == {BOB: 1}


def test_while_somebody_is_registered_reserve_and_release_conflict() -> None:
    reservations = registered({BOB: 0xB})
    for nexus in (ALICE, BOB):
        with pytest.raises(ReservationConflict):
            reservations.reserve(nexus)
        with pytest.raises(ReservationConflict):
            reservations.release(nexus)


def test_who_reserved_while_a_registration_was_being_saved_can_release() -> None:
    reservations = Reservations()
    registration = plan(reservations, BOB, OutAction.REGISTER, new=0xB)
    reservations.reserve(ALICE)
    reservations.adopt(registration)
    assert reservations.conflict(BOB, ReservationClass.WRITE)
    reservations.release(ALICE)
    assert not reservations.active
    assert reservations.state.registrations == {BOB: 0xB}


@pytest.mark.parametrize("kind", ReservationType)
def test_to_whom_a_persistent_reservation_gives_access_reserve_and_release_do_nothing(kind: ReservationType) -> None:
    reservations = reserved(kind)
    before = reservations.state
    for nexus in (ALICE, BOB, CAROL):
        if nexus == ALICE or (nexus == BOB and kind not in HOLDER_ONLY):
            reservations.reserve(nexus)
            reservations.release(nexus)
        else:
            with pytest.raises(ReservationConflict):
                reservations.reserve(nexus)
            with pytest.raises(ReservationConflict):
                reservations.release(nexus)
    assert reservations.holder is None
    assert reservations.state is before


# ---- persistent reservations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ReservationType)
@pytest.mark.parametrize("command", ReservationClass)
def test_the_conflict_table(kind: ReservationType, command: ReservationClass) -> None:
    reservations = reserved(kind)
    assert reservations.active
    kept_out = command is ReservationClass.WRITE or (command is ReservationClass.READ and kind in EXCLUSIVE)
    assert not reservations.conflict(ALICE, command)
    assert reservations.conflict(BOB, command) is (kept_out and kind in HOLDER_ONLY)
    assert reservations.conflict(CAROL, command) is kept_out


def test_registrations_alone_keep_nobody_out() -> None:
    reservations = registered({ALICE: 0xA})
    assert not reservations.active
    assert not reservations.conflict(CAROL, ReservationClass.WRITE)


@pytest.mark.parametrize("kind", ReservationType)
def test_nexus_loss_and_reset_leave_registrations_and_reservation(kind: ReservationType) -> None:
    reservations = reserved(kind)
    before = reservations.state
    reservations.nexus_lost(ALICE)
    reservations.reset()
    assert reservations.state is before
    assert reservations.active
    assert reservations.conflict(CAROL, ReservationClass.WRITE)


def test_who_registers_gets_access_at_once_and_loses_it_at_once() -> None:
    reservations = reserved(ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY)
    reservations.adopt(plan(reservations, CAROL, OutAction.REGISTER, new=0xC))
    assert not reservations.conflict(CAROL, ReservationClass.WRITE)
    reservations.adopt(plan(reservations, CAROL, OutAction.REGISTER, key=0xC))
    assert reservations.conflict(CAROL, ReservationClass.WRITE)


def test_an_outcome_changes_nothing_until_it_is_adopted_and_fits_only_its_own_state() -> None:
    reservations = Reservations()
    first = plan(reservations, ALICE, OutAction.REGISTER, new=1)
    second = plan(reservations, BOB, OutAction.REGISTER, new=1)
    assert reservations.state == State()
    reservations.adopt(first)
    with pytest.raises(AssertionError, match="have changed"):
        reservations.adopt(second)
    assert reservations.state.registrations == {ALICE: 1}


def test_what_is_restored_is_in_effect() -> None:
    reservations = Reservations()
    reservations.restore(
        {
            "registrations": [
                {
                    "transport_id": ALICE.transport_id.hex(),
                    "relative_id": 1,
                    "port_name": "port 1",
                    "key": "000000000000000a",
                    "holder": True,
                }
            ],
            "type": 3,
        }
    )
    assert reservations.conflict(BOB, ReservationClass.READ)
    assert not reservations.conflict(ALICE, ReservationClass.READ)
    assert reservations.state.generation == 0
