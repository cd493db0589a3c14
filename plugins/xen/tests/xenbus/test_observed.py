"""Nodes as a guest may have written them."""

import pytest
from tgtcore_xen.xenbus.observed import SG_GRANT_MIN, Observed, Ring
from tgtcore_xen.xenbus.paths import HbaPaths, device_number
from tgtcore_xen.xenbus.states import State, parse_state

PLACE = HbaPaths(0, 5, 1)
BACK = {
    "frontend": "/local/domain/5/device/vscsi/1",
    "frontend-id": "5",
    "online": "1",
    "state": "4",
    "feature-sg-grant": "128",
}
FRONT = {
    "backend": "/local/domain/0/backend/vscsi/5/1",
    "backend-id": "0",
    "state": "4",
    "ring-ref": "8",
    "event-channel": "19",
    "protocol": None,
}


def test_what_is_right():
    devices = {2: ({"v-dev": "0:0:1:0", "state": "4"}, {"state": "3"})}
    observed = Observed.parse(PLACE, BACK, FRONT, devices)
    assert (observed.there, observed.whole, observed.online) == (True, True, True)
    assert observed.states == (State.CONNECTED, State.CONNECTED)
    assert (observed.ring, observed.protocol, observed.sg_grant) == (Ring(8, 19), "", 128)
    assert observed.devices == {2: ("0:0:1:0", State.CONNECTED, State.INITIALISED, "")}


def test_nothing():
    observed = Observed.parse(PLACE, dict.fromkeys(BACK), dict.fromkeys(FRONT), {})
    assert observed == Observed()


@pytest.mark.parametrize("value", ["", "9", "44", "-1", " 4", "4 ", "4\0", "\u0664", "four", "4" * 4000])
def test_what_is_no_state(value):
    assert parse_state(value) is State.UNKNOWN


@pytest.mark.parametrize("value", [None, "", "-1", "0x8", "8.0", " 8", "4294967296", "\u0668", "8\n", "9" * 5000])
@pytest.mark.parametrize("name", ["ring-ref", "event-channel"])
def test_what_is_no_ring(name, value):
    assert Observed.parse(PLACE, BACK, {**FRONT, name: value}, {}).ring is None


@pytest.mark.parametrize(
    ("side", "name", "value"),
    [
        (BACK, "frontend", "/local/domain/6/device/vscsi/1"),
        (BACK, "frontend-id", "05"),
        (BACK, "state", None),
        (FRONT, "backend", None),
        (FRONT, "backend-id", "7"),
        (FRONT, "state", None),
    ],
)
def test_nodes_that_do_not_belong_together(side, name, value):
    changed = {**side, name: value}
    back, front = (changed, FRONT) if side is BACK else (BACK, changed)
    observed = Observed.parse(PLACE, back, front, {})
    assert (observed.there, observed.whole) == (True, False)


def test_what_is_said_beside_is_bounded():
    observed = Observed.parse(PLACE, {**BACK, "feature-sg-grant": "x"}, {**FRONT, "protocol": "p" * 5000}, {})
    assert observed.sg_grant == SG_GRANT_MIN
    assert len(observed.protocol) == 40


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dev-0", 0),
        ("dev-12", 12),
        ("dev-", None),
        ("dev--1", None),
        ("dev-1000000", None),
        ("dev", None),
        ("x-1", None),
    ],
)
def test_numbers_of_devices(name, number):
    assert device_number(name) == number
