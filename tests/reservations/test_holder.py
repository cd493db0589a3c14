import pytest

from tgtcore.errors import ReservationConflict
from tgtcore.reservations import NexusIdentity, ReservationClass, Reservations

ALICE = NexusIdentity(b"alice", 1)
BOB = NexusIdentity(b"bob", 1)


def test_nothing_is_reserved_at_first() -> None:
    reservations = Reservations()
    assert not reservations.active
    assert not reservations.conflict(BOB, ReservationClass.WRITE)


def test_the_holder_keeps_others_out_and_may_reserve_again() -> None:
    reservations = Reservations()
    reservations.reserve(ALICE)
    reservations.reserve(ALICE)
    assert reservations.active
    assert not reservations.conflict(ALICE, ReservationClass.WRITE)
    assert reservations.conflict(BOB, ReservationClass.WRITE)
    assert reservations.conflict(BOB, ReservationClass.READ)
    assert not reservations.conflict(BOB, ReservationClass.ALWAYS)
    with pytest.raises(ReservationConflict):
        reservations.reserve(BOB)


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
        reservations.nexus_lost(ALICE)
    assert not reservations.active
