import pytest
from support.registrants import ALICE, BOB, CAROL, PORTS, nexus, plan, port_of, registered, whole

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.limits import REGISTRANTS_MAX
from tgtcore.reservations import Reservation, State
from tgtcore.scsi import asc
from tgtcore.scsi.persistent import OutAction, ReservationType
from tgtcore.scsi.transport_id import Protocol, fixed_transport_id

REGISTER, IGNORE, MOVE = OutAction.REGISTER, OutAction.REGISTER_AND_IGNORE_EXISTING_KEY, OutAction.REGISTER_AND_MOVE
WE, WE_RO, WE_AR = (
    ReservationType.WRITE_EXCLUSIVE,
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS,
)


def refusal(error: pytest.ExceptionInfo[CheckCondition]) -> tuple[tuple[int, int], tuple[int, int | None] | None, bool]:
    return error.value.code, error.value.field, error.value.in_cdb


def parameter(byte: int, bit: int | None = None) -> tuple[tuple[int, int], tuple[int, int | None], bool]:
    return asc.INVALID_FIELD_IN_PARAMETER_LIST, (byte, bit), False


# ---- REGISTER (SPC-5 table 67) --------------------------------------------------------------------------------------


def test_an_unregistered_nexus_registers_with_key_zero() -> None:
    outcome = plan(registered({}), ALICE, REGISTER, new=0xA)
    assert outcome.state == State({ALICE: 0xA}, generation=1)
    assert outcome.attentions == ()


@pytest.mark.parametrize("ids", [None, (port_of("bob"),)])
def test_without_a_new_key_an_unregistered_nexus_changes_nothing(ids: tuple[bytes, ...] | None) -> None:
    outcome = plan(registered({BOB: 0xB}), ALICE, REGISTER, ids=ids, persist=True)
    assert outcome.state is outcome.before


@pytest.mark.parametrize("who", [ALICE, BOB])
def test_a_wrong_key_conflicts(who: object) -> None:
    reservations = registered({BOB: 0xB})
    with pytest.raises(ReservationConflict):
        plan(reservations, ALICE if who == ALICE else BOB, REGISTER, key=0xC, new=1)


def test_a_registered_nexus_must_name_its_key() -> None:
    with pytest.raises(ReservationConflict):
        plan(registered({ALICE: 0xA}), ALICE, REGISTER, key=0, new=1)


@pytest.mark.parametrize("kind", ReservationType)
def test_another_key_changes_nothing_else(kind: ReservationType) -> None:
    reservations = registered({ALICE: 0xA, BOB: 0xB}, kind)
    outcome = plan(reservations, ALICE, REGISTER, key=0xA, new=0xAA)
    assert outcome.state == State({ALICE: 0xAA, BOB: 0xB}, Reservation.by(ALICE, kind), generation=3)
    assert outcome.attentions == ()


def test_a_registered_nexus_names_no_other_ports() -> None:
    for new in (0, 1):
        with pytest.raises(CheckCondition) as caught:
            plan(registered({ALICE: 0xA}), ALICE, REGISTER, key=0xA, new=new, ids=())
        assert refusal(caught) == parameter(20, 3)


# ---- unregistering --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [REGISTER, IGNORE])
@pytest.mark.parametrize("kind", ReservationType)
def test_when_the_holder_unregisters(kind: ReservationType, action: OutAction) -> None:
    reservations = registered({ALICE: 0xA, BOB: 0xB, CAROL: 0xC}, kind)
    outcome = plan(reservations, ALICE, action, key=0xA)
    assert outcome.state.registrations == {BOB: 0xB, CAROL: 0xC}
    if kind.name.endswith("ALL_REGISTRANTS"):
        assert outcome.state.reservation == Reservation(kind, None)
        assert outcome.attentions == ()
    else:
        assert outcome.state.reservation is None
        told = (BOB, CAROL) if kind.name.endswith("REGISTRANTS_ONLY") else ()
        assert outcome.attentions == tuple((who, asc.RESERVATIONS_RELEASED) for who in told)


@pytest.mark.parametrize("kind", [kind for kind in ReservationType if kind.name.endswith("ALL_REGISTRANTS")])
def test_the_last_registrant_takes_an_all_registrants_reservation_along(kind: ReservationType) -> None:
    outcome = plan(registered({ALICE: 0xA}, kind), ALICE, REGISTER, key=0xA)
    assert outcome.state == State(generation=2)


@pytest.mark.parametrize("kind", ReservationType)
def test_another_registrant_goes_without_a_trace(kind: ReservationType) -> None:
    outcome = plan(registered({ALICE: 0xA, BOB: 0xB}, kind), BOB, REGISTER, key=0xB)
    assert outcome.state == State({ALICE: 0xA}, Reservation.by(ALICE, kind), generation=3)
    assert outcome.attentions == ()


# ---- REGISTER AND IGNORE EXISTING KEY (table 68) --------------------------------------------------------------------


def test_the_existing_key_is_ignored() -> None:
    reservations = registered({ALICE: 0xA})
    assert plan(reservations, ALICE, IGNORE, key=0xDEAD, new=1).state == State({ALICE: 1}, generation=2)
    assert plan(reservations, BOB, IGNORE, key=0xDEAD, new=1).state == State({ALICE: 0xA, BOB: 1}, generation=2)
    assert plan(reservations, ALICE, IGNORE, key=0xDEAD).state == State(generation=2)
    nothing = plan(reservations, BOB, IGNORE, key=0xDEAD)
    assert nothing.state is nothing.before


# ---- SPEC_I_PT and ALL_TG_PT (table 69) -----------------------------------------------------------------------------


def test_other_initiator_ports_are_registered_through_the_same_target_port() -> None:
    outcome = plan(registered({}), nexus("alice", 2), REGISTER, new=1, ids=(port_of("bob"), port_of("carol")))
    assert set(outcome.state.registrations) == {nexus("alice", 2), nexus("bob", 2), nexus("carol", 2)}


def test_all_target_ports_are_registered_and_unregistered_together() -> None:
    reservations = registered({})
    outcome = plan(reservations, ALICE, REGISTER, new=1, all_ports=True, ids=(port_of("bob"),))
    assert set(outcome.state.registrations) == {nexus(name, port) for name in ("alice", "bob") for port in PORTS}
    assert outcome.state.generation == 1
    reservations.adopt(outcome)
    gone = plan(reservations, ALICE, REGISTER, key=1, all_ports=True)
    assert set(gone.state.registrations) == {nexus("bob", port) for port in PORTS}


def test_a_nexus_through_a_port_that_is_no_longer_there_can_unregister() -> None:
    lost = type(ALICE)(ALICE.transport_id, 9, "port 9")
    outcome = plan(registered({lost: 1}), lost, REGISTER, key=1, all_ports=True)
    assert outcome.state.registrations == {}


def test_a_name_without_port_means_the_ports_that_are_known() -> None:
    reservations = registered({CAROL: 0xC})
    logged_in = (port_of("bob", 1), port_of("bob", 2), port_of("alice"), port_of("bobby"))
    outcome = plan(reservations, ALICE, REGISTER, new=1, ids=(whole("bob"), whole("nobody")), logged_in=logged_in)
    assert set(outcome.state.registrations) == {CAROL, ALICE, nexus("bob", isid=1), nexus("bob", isid=2)}


@pytest.mark.parametrize("ids", [(port_of("bob"),), (whole("bob"),), (port_of("carol"), port_of("bob"))])
def test_none_of_them_may_be_registered_already(ids: tuple[bytes, ...]) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered({BOB: 0xB}), ALICE, REGISTER, new=1, ids=ids)
    assert refusal(caught) == parameter(28)


def test_ports_of_another_protocol_are_refused() -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered({}), ALICE, REGISTER, new=1, ids=(fixed_transport_id(Protocol.SAS, bytes(8)),))
    assert refusal(caught) == parameter(28, 3)


@pytest.mark.parametrize("extra", [0, 1])
def test_registrants_are_bounded_and_all_or_none_are_registered(extra: int) -> None:
    ids = tuple(port_of("many", number) for number in range(REGISTRANTS_MAX - 1 + extra))
    reservations = registered({})
    if extra:
        with pytest.raises(CheckCondition) as caught:
            plan(reservations, ALICE, REGISTER, new=1, ids=ids)
        assert caught.value.code == asc.INSUFFICIENT_REGISTRATION_RESOURCES
    else:
        assert len(plan(reservations, ALICE, REGISTER, new=1, ids=ids).state.registrations) == REGISTRANTS_MAX


# ---- APTPL ----------------------------------------------------------------------------------------------------------


def test_the_last_registration_decides_what_outlives_the_power() -> None:
    reservations = registered({ALICE: 0xA})
    kept = plan(reservations, BOB, REGISTER, new=0xB, persist=True)
    assert kept.to_save is not None
    assert len(kept.to_save["registrations"]) == 2  # type: ignore[arg-type]
    reservations.adopt(kept)
    reserving = plan(reservations, ALICE, OutAction.RESERVE, key=0xA, kind=WE)
    assert reserving.to_save is not None
    assert reserving.to_save["type"] == 1
    reservations.adopt(reserving)
    assert plan(reservations, ALICE, OutAction.RESERVE, key=0xA, kind=WE).to_save is None
    assert plan(reservations, ALICE, REGISTER, key=0xA, new=0xA).to_save == {}
    assert plan(reservations, ALICE, OutAction.CLEAR, key=0xA).to_save == {}


def test_what_was_never_to_be_kept_is_not_saved() -> None:
    assert plan(registered({ALICE: 0xA}), ALICE, REGISTER, key=0xA, new=1).to_save is None


def test_persistence_that_is_not_there_is_refused() -> None:
    for action, byte in ((REGISTER, 20), (MOVE, 17)):
        reservations = registered({ALICE: 0xA}, WE)
        with pytest.raises(CheckCondition) as caught:
            plan(reservations, ALICE, action, key=0xA, new=1, persist=True, can_persist=False, port=1)
        assert refusal(caught) == parameter(byte, 0)


# ---- REGISTER AND MOVE (table 70) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bob", [None, 0xB])
def test_the_reservation_moves_to_a_nexus_that_is_thereby_registered(bob: int | None) -> None:
    reservations = registered({ALICE: 0xA} | ({} if bob is None else {nexus("bob", 2): bob}), WE_RO, ALICE)
    count = reservations.state.generation
    outcome = plan(reservations, ALICE, MOVE, key=0xA, new=0xBB, ids=(port_of("bob"),), port=2)
    moved = {ALICE: 0xA, nexus("bob", 2): 0xBB}
    assert outcome.state == State(moved, Reservation(WE_RO, nexus("bob", 2)), generation=count + 1)
    assert outcome.attentions == ()


def test_the_old_holder_may_leave() -> None:
    reservations = registered({ALICE: 0xA}, WE)
    outcome = plan(
        reservations, ALICE, MOVE, key=0xA, new=0xB, ids=(port_of("bob"),), port=1, unregister=True, persist=True
    )
    assert outcome.state == State({BOB: 0xB}, Reservation(WE, BOB), generation=2, persist=True)
    assert outcome.attentions == ()


@pytest.mark.parametrize(
    ("who", "key", "kind"), [(CAROL, 0, WE), (ALICE, 1, WE), (BOB, 0xB, WE), (BOB, 0xB, WE_AR), (ALICE, 0xA, WE_AR)]
)
def test_only_the_one_holder_moves_it(who: object, key: int, kind: ReservationType) -> None:
    reservations = registered({ALICE: 0xA, BOB: 0xB}, kind)
    sender = next(nexus for nexus in (ALICE, BOB, CAROL) if nexus == who)
    with pytest.raises(ReservationConflict):
        plan(reservations, sender, MOVE, key=key, new=1, ids=(port_of("dave"),), port=1)


def test_without_a_reservation_there_is_nothing_to_move() -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered({ALICE: 0xA}), ALICE, MOVE, key=0xA, new=1, ids=(port_of("bob"),), port=1)
    assert refusal(caught) == (asc.INVALID_FIELD_IN_CDB, (1, 4), True)


@pytest.mark.parametrize(
    ("new", "destination", "port", "field"),
    [
        (0, port_of("bob"), 1, (8, None)),
        (1, port_of("bob"), 3, (18, None)),
        (1, port_of("alice"), 2, (24, None)),
        (1, whole("bob"), 1, (24, 7)),
        (1, fixed_transport_id(Protocol.SRP, bytes(16)), 1, (24, 3)),
    ],
)
def test_destinations_that_cannot_be(new: int, destination: bytes, port: int, field: tuple[int, int | None]) -> None:
    with pytest.raises(CheckCondition) as caught:
        plan(registered({ALICE: 0xA}, WE), ALICE, MOVE, key=0xA, new=new, ids=(destination,), port=port)
    assert refusal(caught) == parameter(*field)


def test_a_move_does_not_exceed_the_registrants_there_may_be() -> None:
    reservations = registered({})
    ids = tuple(port_of("many", number) for number in range(REGISTRANTS_MAX - 1))
    reservations.adopt(plan(reservations, ALICE, REGISTER, new=1, ids=ids))
    reservations.adopt(plan(reservations, ALICE, OutAction.RESERVE, key=1, kind=WE))
    with pytest.raises(CheckCondition) as caught:
        plan(reservations, ALICE, MOVE, key=1, new=1, ids=(port_of("bob"),), port=1, unregister=False)
    assert caught.value.code == asc.INSUFFICIENT_REGISTRATION_RESOURCES
