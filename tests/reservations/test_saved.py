import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.limits import REGISTRANTS_MAX
from tgtcore.reservations import NexusIdentity, Reservation, State
from tgtcore.reservations.saved import handed_over, restored, saved
from tgtcore.scsi.persistent import ReservationType
from tgtcore.scsi.transport_id import Protocol, fixed_transport_id

ALICE = NexusIdentity(fixed_transport_id(Protocol.SAS, bytes(7) + b"\1"), 1, "port 1")
BOB = NexusIdentity(fixed_transport_id(Protocol.SAS, bytes(7) + b"\2"), 2, "port 2")
KEYS = {ALICE: (1 << 64) - 1, BOB: 1}
KEPT = saved(State(KEYS, Reservation(ReservationType.WRITE_EXCLUSIVE, BOB), persist=True))


@pytest.mark.parametrize("kind", [None, *ReservationType])
def test_everything_but_the_generation_survives(kind: ReservationType | None) -> None:
    held = None if kind is None else Reservation.by(BOB, kind)
    kept = json.loads(json.dumps(saved(State(KEYS, held, generation=9, persist=True))))
    assert restored(kept) == State(KEYS, held, generation=0, persist=True)


def test_nothing_is_kept_that_was_not_asked_to_be() -> None:
    assert saved(State(KEYS)) == {}
    assert saved(State(persist=True)) == {}
    assert restored({}) == State()


@pytest.mark.parametrize("kind", [None, *ReservationType])
@pytest.mark.parametrize("persist", [False, True])
def test_everything_is_handed_over(kind: ReservationType | None, persist: bool) -> None:
    held = None if kind is None else Reservation.by(BOB, kind)
    for state in (State(KEYS, held, generation=9, persist=persist), State(generation=0xFFFFFFFF, persist=persist)):
        assert restored(json.loads(json.dumps(handed_over(state)))) == state


@pytest.mark.parametrize(
    ("key", "value"), [("generation", -1), ("generation", 1 << 32), ("generation", "1"), ("persist", 1)]
)
def test_what_was_handed_over_may_be_damaged(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match="damaged"):
        restored({**handed_over(State(KEYS)), key: value})


def damaged(path: list[Any], value: Any) -> dict[str, Any]:
    kept = copy.deepcopy(KEPT)
    place: Any = kept
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return kept


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["registrations"], []),
        (["registrations"], None),
        (["registrations"], [1]),
        (["registrations", 0, "transport_id"], "00"),
        (["registrations", 0, "transport_id"], "zz"),
        (["registrations", 0, "transport_id"], "0600ff00" + ALICE.transport_id[4:].hex()),
        (["registrations", 0, "transport_id"], ALICE.transport_id.hex() + "00"),
        (["registrations", 0, "relative_id"], 0),
        (["registrations", 0, "relative_id"], 65536),
        (["registrations", 0, "relative_id"], True),
        (["registrations", 0, "port_name"], None),
        (["registrations", 0, "key"], "0"),
        (["registrations", 0, "key"], "10000000000000000"),
        (["registrations", 0, "key"], 5),
        (["registrations", 0, "holder"], True),
        (["registrations", 1, "holder"], False),
        (["registrations", 1], KEPT["registrations"][0]),
        (["registrations"], KEPT["registrations"] * REGISTRANTS_MAX),
        (["type"], None),
        (["type"], 2),
        (["type"], 7),
    ],
)
def test_damage_is_noticed(path: list[Any], value: Any) -> None:
    with pytest.raises(ValueError, match="saved reservations are damaged"):
        restored(damaged(path, value))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["registrations", "type", "key"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["registrations", "type"]), _json))
def test_only_the_declared_error_comes_out(data: dict[str, Any]) -> None:
    try:
        state = restored(data)
    except ValueError as error:
        assert str(error).startswith("saved reservations are damaged")
    else:
        assert data == {}
        assert state == State()
