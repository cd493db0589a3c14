from tgtcore.reservations import NexusIdentity, Reservation, State
from tgtcore.reservations.reports import report
from tgtcore.scsi.persistent import InAction, ReservationType
from tgtcore.scsi.transport_id import Protocol, fixed_transport_id

ALICE = NexusIdentity(fixed_transport_id(Protocol.SAS, bytes(7) + b"\1"), 1, "port 1")
BOB = NexusIdentity(fixed_transport_id(Protocol.SAS, bytes(7) + b"\2"), 2, "port 2")


def state(kind: ReservationType) -> State:
    return State({ALICE: 0xA, BOB: 0xB}, Reservation.by(BOB, kind), generation=5)


def test_keys_of_all_nexuses_are_read_even_equal_ones() -> None:
    data = report(InAction.READ_KEYS, State({ALICE: 7, BOB: 7}, generation=2), can_persist=False)
    assert data.hex() == "00000002" + "00000010" + "0000000000000007" * 2


def test_the_holders_key_is_read() -> None:
    data = report(InAction.READ_RESERVATION, state(ReservationType.WRITE_EXCLUSIVE), can_persist=False)
    assert data.hex() == "00000005" + "00000010" + "000000000000000b" + "0000000000010000"


def test_with_all_registrants_the_key_is_zero() -> None:
    data = report(InAction.READ_RESERVATION, state(ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS), can_persist=False)
    assert data.hex() == "00000005" + "00000010" + "0000000000000000" + "0000000000070000"


def test_without_a_reservation_only_the_generation_is_read() -> None:
    data = report(InAction.READ_RESERVATION, State({ALICE: 7}, generation=1), can_persist=False)
    assert data.hex() == "0000000100000000"


def holders(kind: ReservationType) -> list[tuple[int, int, int]]:
    data = report(InAction.READ_FULL_STATUS, state(kind), can_persist=False)
    assert int.from_bytes(data[4:8], "big") == len(data) - 8 == 2 * 48
    return [(data[at + 12], data[at + 13], data[at + 19]) for at in (8, 56)]


def test_full_status_tells_holders_with_their_ports() -> None:
    assert holders(ReservationType.EXCLUSIVE_ACCESS) == [(0, 0, 1), (1, 3, 2)]
    assert holders(ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS) == [(1, 8, 1), (1, 8, 2)]


def test_capabilities_tell_whether_persistence_is_there_and_in_use() -> None:
    assert report(InAction.REPORT_CAPABILITIES, State(), can_persist=False)[2:4] == b"\x1c\x90"
    assert report(InAction.REPORT_CAPABILITIES, State(), can_persist=True)[2:4] == b"\x1d\x90"
    assert report(InAction.REPORT_CAPABILITIES, State(persist=True), can_persist=True)[2:4] == b"\x1d\x91"
