from sim.registrations import Change, Registrations

from tgtcore.reservations import NexusIdentity
from tgtcore.scsi.persistent import OutAction, ReservationType

ONE, OTHER = NexusIdentity(b"one", 1, "port"), NexusIdentity(b"other", 1, "port")
KEY = Change(action=OutAction.REGISTER, service_key=0xA, persist=True)


def _held(kind: ReservationType) -> Registrations:
    held = Registrations().after(ONE, KEY).after(OTHER, KEY)
    return held.after(ONE, Change(action=OutAction.RESERVE, key=0xA, type=kind))


def test_only_the_holder_writes_under_write_exclusive() -> None:
    held = _held(ReservationType.WRITE_EXCLUSIVE)
    assert not held.refuses(ONE, writes=True)
    assert held.refuses(OTHER, writes=True)
    assert not held.refuses(OTHER, writes=False)


def test_registrants_are_admitted_where_the_type_says_so() -> None:
    held = _held(ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY)
    assert not held.refuses(OTHER, writes=True)
    gone = held.after(OTHER, Change(action=OutAction.REGISTER, key=0xA, service_key=0))
    assert gone.refuses(OTHER, writes=False)


def test_a_reservation_goes_with_its_holder() -> None:
    held = _held(ReservationType.EXCLUSIVE_ACCESS)
    assert held.after(ONE, Change(action=OutAction.REGISTER, key=0xA)).type is None
    assert held.after(ONE, Change(action=OutAction.RELEASE, key=0xA)).type is None
    assert held.after(OTHER, Change(action=OutAction.CLEAR, key=0xA)) == Registrations(persist=True)


def test_who_preempts_the_holder_takes_over() -> None:
    held = _held(ReservationType.EXCLUSIVE_ACCESS)
    taken = held.after(OTHER, Change(action=OutAction.PREEMPT, key=0xA, service_key=0xA))
    assert (taken.holder, dict(taken.keys), taken.type) == (OTHER, {OTHER: 0xA}, ReservationType.WRITE_EXCLUSIVE)


def test_power_loss_leaves_what_was_to_persist() -> None:
    assert Registrations().after(ONE, KEY).after_power_loss().keys == {ONE: 0xA}
    lost = Registrations().after(ONE, Change(action=OutAction.REGISTER, service_key=0xA))
    assert lost.after_power_loss() == Registrations()
