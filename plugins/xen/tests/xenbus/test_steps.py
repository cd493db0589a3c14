"""The handshake from everywhere: each way that ends meet or part, and what they may find of earlier ones."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.xenbus_world import PLACE, World
from tgtcore_xen.xenbus.making import new_nodes
from tgtcore_xen.xenbus.observed import Device, Observed, Ring
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.step import Connect, Disconnect, Make, Refuse, Remove, Write
from tgtcore_xen.xenbus.steps import TABLE, next_steps
from tgtcore_xen.xenbus.wanted import Link, Presence, Stage, Wanted

TWO = {"0:0:0:0": "web:0", "0:0:0:1": "web:1"}
OFFERED, HELD, CLOSED, REMOVED, LOST = (Wanted(presence, TWO) for presence in Presence)
RING, OTHER = Ring(8, 9), Ring(80, 90)
LINKS = [None, Link(RING), Link(RING, Stage.ANNOUNCED), Link(RING, Stage.USED), Link(OTHER, Stage.USED)]


def world(wanted=OFFERED):
    made = World(wanted)
    made.settle()
    return made


def states(one):
    return one.state(PLACE.back), one.state(PLACE.front)


def devices(one):
    return {device.address: (device.back, device.front) for device in one.observe().devices.values()}


def is_served(one):
    """Whether a guest has all that is wanted, and both ends say so."""
    return (
        states(one) == (4, 4)
        and one.link == Link(one.ring(), Stage.USED)
        and one.scsi_devices == set(one.wanted.devices)
        and devices(one) == dict.fromkeys(one.wanted.devices, (4, 4))
    )


# ---- playbook --------------------------------------------------------------------------------------------------------


def test_attach():
    one = World(OFFERED)
    assert one.step_once() == [Make()]
    assert states(one) == (2, 1)
    one.front_once()
    assert one.step_once() == [Connect(one.ring(), fresh=True)]
    announced = one.step_once()
    assert announced[-1] == Write("state", "4")
    assert Write("vscsi-devs/dev-1/v-dev", "0:0:0:1") in announced
    assert one.step_once() == [], "it is the front end's turn"
    one.settle()
    assert is_served(one)


def test_devices_are_asked_for_through_the_connection():
    one = World(replace(OFFERED, devices=None))
    one.settle()
    assert (states(one), one.link.stage) == ((2, 3), Stage.MADE)
    one.wanted = OFFERED
    one.settle()
    assert is_served(one)


def test_hot_add_and_hot_remove():
    one = world()
    one.wanted = replace(OFFERED, devices={"0:0:0:1": "web:1", "0:0:0:7": "web:7"})
    asked = one.step_once()
    assert Write("vscsi-devs/dev-0/state", "5") in asked
    assert Write("vscsi-devs/dev-2/state", "1") in asked
    assert asked[-1] == Write("state", "7")
    one.front_once()
    assert states(one) == (7, 7)
    one.settle()
    assert is_served(one)
    assert sorted(one.observe().devices) == [1, 2]
    one.wanted = replace(OFFERED, devices={})
    one.settle()
    assert is_served(one)


def test_another_device_at_the_same_address():
    one = world()
    one.wanted = replace(OFFERED, devices={**TWO, "0:0:0:0": "web:5"})
    asked = one.step_once()
    assert Write("vscsi-devs/dev-0/state", "5") in asked
    assert Write("vscsi-devs/dev-2/v-dev", "0:0:0:0") in asked
    assert asked[-1] == Write("state", "7")
    one.settle()
    assert is_served(one)
    assert {number: device.name for number, device in one.observe().devices.items()} == {1: "web:1", 2: "web:5"}


def test_a_device_that_comes_back_while_it_goes():
    one = world()
    one.wanted = replace(OFFERED, devices={"0:0:0:0": "web:0"})
    one.step_once()
    one.wanted = OFFERED
    one.settle()
    assert is_served(one)


def test_a_guest_that_could_not_add_a_device_is_not_asked_again_and_again():
    one = world(replace(OFFERED, devices={"0:0:0:0": "web:0"}))
    one.nodes[f"{PLACE.back}/vscsi-devs/dev-0/state"] = "3"
    one.nodes[f"{PLACE.front}/vscsi-devs/dev-0/state"] = "6"
    assert one.step_once() == []


def test_detach():
    one = world()
    one.wanted = REMOVED
    assert one.step_once() == [Write("online", "0"), Write("state", "5")]
    assert one.link is not None, "the guest writes its caches back"
    one.settle()
    assert (one.nodes, one.link, one.scsi_devices) == ({}, None, set())


def test_detach_from_a_guest_that_does_not_answer():
    one = world()
    one.wanted = REMOVED
    one.step_once()
    assert one.step_once() == []
    one.wanted = replace(REMOVED, forced=True)
    assert one.step_once() == [Disconnect(), Write("state", "6"), Remove()]


def test_detach_from_a_guest_without_a_driver():
    one = World(OFFERED)
    one.step_once()
    one.wanted = REMOVED
    assert one.step_once() == [Write("online", "0"), Write("state", "6"), Remove()]


def test_a_tool_closes():
    one = world()
    one.nodes[f"{PLACE.back}/online"] = "0"
    one.nodes[f"{PLACE.back}/state"] = "5"
    one.settle()
    assert (states(one), one.link) == ((6, 6), None)
    one.wanted = replace(OFFERED, renew=True)
    one.settle()
    assert is_served(one)


def test_the_front_end_closes_and_begins_again():
    one = world()
    one.say(State.CLOSED)
    one.scsi_devices.clear()
    assert one.step_once() == [Disconnect(), Write("state", "6")]
    assert one.step_once() == [Write("state", "2")]
    one.publish()
    one.settle()
    assert is_served(one)


@pytest.mark.parametrize("same_numbers", [False, True])
def test_a_guest_resumes_with_another_ring(same_numbers):
    one = world()
    one.rings -= same_numbers
    one.publish()
    assert one.step_once() == [Disconnect(), Connect(one.ring(), fresh=True)]
    assert one.step_once()[-1] == Write("state", "4"), "the front end looks at it when it is written"
    one.settle()
    assert is_served(one)


def test_a_guest_that_migrates_finds_what_is_new():
    one = world()
    one.nodes.clear()
    one.link, one.wanted, one.resumes = None, replace(OFFERED, devices={**TWO, "0:0:0:7": "web:7"}), True
    one.settle()
    assert (states(one), one.scsi_devices) == ((4, 4), set(one.wanted.devices))
    assert {back for back, _ in devices(one).values()} == {State.CONNECTED}


def test_a_front_end_crashes_and_begins_anew():
    one = world()
    one.say(State.INITIALISING)
    assert one.step_once() == [Disconnect(), Write("state", "2")]
    one.settle()
    assert is_served(one)


def test_the_guests_nodes_are_gone():
    one = world()
    one.nodes = {path: value for path, value in one.nodes.items() if not path.startswith(PLACE.front)}
    assert one.step_once() == [Disconnect(), Remove()]
    one.settle()
    assert is_served(one)


def test_the_guest_is_gone():
    one = world()
    one.wanted = LOST
    assert one.step_once() == [Disconnect(), Remove()]
    assert one.step_once() == []


@pytest.mark.parametrize("pair", [(4, 4), (4, 3), (7, 4), (7, 7), (8, 7), (8, 4), (5, 4)])
def test_a_new_back_end_goes_on_where_the_last_was_killed(pair):
    one = world()
    one.link = None
    one.nodes[f"{PLACE.back}/state"], one.nodes[f"{PLACE.front}/state"] = map(str, pair)
    steps = one.step_once()
    assert steps[0] == Connect(one.ring()), "commands wait in the ring"
    one.settle()
    assert states(one) == ((2, 6) if pair[0] == 5 else (4, 4))


def test_held_is_only_a_delay():
    one = world()
    before = dict(one.nodes)
    one.wanted = HELD
    assert one.step_once() == [Disconnect()]
    one.settle()
    assert one.nodes == before
    one.wanted = OFFERED
    one.settle()
    assert is_served(one)


@pytest.mark.parametrize("wanted", [HELD, CLOSED, REMOVED, LOST])
def test_nothing_is_made_for_who_is_not_to_have_it(wanted):
    one = World(wanted)
    assert (one.settle(), one.nodes) == (0, {})


def test_who_is_refused_closes_without_being_served():
    one = World(OFFERED)
    one.settle()
    one.wanted = replace(CLOSED, refused=True)
    one.link = None
    one.settle()
    assert (states(one), one.link) == ((6, 6), None)
    assert not any(isinstance(step, Connect) for step in one.log[-4:])


@pytest.mark.parametrize("front", [3, 4, 7])
def test_a_front_end_without_a_ring_is_refused(front):
    one = World(OFFERED)
    one.step_once()
    one.say(front)
    one.nodes[f"{PLACE.front}/ring-ref"] = "-1"
    assert isinstance(one.step_once()[-1], Refuse)


def test_nodes_that_were_made_in_part_are_made_anew():
    whole = list(new_nodes(PLACE, 128))
    for parts in range(1, len(whole)):
        one = World(OFFERED)
        one.nodes.update(whole[:parts])
        assert one.step_once() == [Remove()], f"{parts} nodes"
        one.settle()
        assert is_served(one)


# ---- nodes that somebody else makes and removes ------------------------------------------------------------------------

FOUND, FOUND_REMOVED = replace(OFFERED, found=True), replace(REMOVED, found=True)


def found():
    """A guest that is served on nodes that a tool has made."""
    one = World(FOUND)
    assert one.step_once() == []
    one.nodes.update(new_nodes(PLACE, 128))
    one.nodes[f"{PLACE.back}/state"] = "1"
    one.settle()
    assert is_served(one)
    return one


def test_nodes_that_are_found_are_waited_for():
    whole = list(new_nodes(PLACE, 128))
    for parts in range(1, len(whole)):
        one = World(FOUND)
        one.nodes.update(whole[:parts])
        assert one.step_once() == [], f"{parts} nodes"
        one.nodes.update(whole)
        one.settle()
        assert is_served(one)


@pytest.mark.parametrize("gone", [PLACE.back, PLACE.front, "/local"])
def test_nodes_that_were_found_and_vanish_are_let_go_of(gone):
    one = found()
    one.nodes = {path: value for path, value in one.nodes.items() if not path.startswith(gone)}
    assert one.step_once() == [Disconnect()]
    assert one.step_once() == []
    one.nodes = dict(new_nodes(PLACE, 128))
    one.scsi_devices.clear()
    one.settle()
    assert is_served(one)


@pytest.mark.parametrize("renew", [False, True])
def test_detach_leaves_what_was_found(renew):
    one = found()
    one.wanted = FOUND_REMOVED
    one.settle()
    assert (states(one), one.link, one.observe().online) == ((6, 6), None, False)
    one.wanted = replace(FOUND, renew=renew)
    assert one.step_once() == [], "a front end that has closed needs new nodes"


def test_a_tool_closes_what_it_has_made():
    one = found()
    one.nodes[f"{PLACE.back}/online"] = "0"
    one.nodes[f"{PLACE.back}/state"] = "5"
    one.settle()
    assert (states(one), one.link) == ((6, 6), None)


def test_the_guest_of_what_was_found_is_gone():
    one = found()
    one.wanted = replace(LOST, found=True)
    assert one.step_once() == [Disconnect()]
    assert one.step_once() == []


@pytest.mark.parametrize("presence", Presence)
@pytest.mark.parametrize("renew", [False, True])
@pytest.mark.parametrize("forced", [False, True])
def test_what_is_found_is_never_made_nor_removed_and_otherwise_the_same(presence, renew, forced):
    """Every pair of states: what is done with nodes that are whole is the same, but for their end."""
    wanted = Wanted(presence, TWO, renew=renew, forced=forced)
    for back, front, online, link in itertools.product(State, State, (False, True), LINKS):
        for there, whole in ((True, True), (True, False), (False, False)):
            observed = Observed(there, whole, back, front, online, RING, "", 128, {})
            ours = next_steps(observed, wanted, link)
            steps = next_steps(observed, replace(wanted, found=True), link)
            assert steps == [step for step in ours if not isinstance(step, Make | Remove)]
            if not whole:
                assert not any(isinstance(step, Write) for step in steps)


# ---- from everywhere ---------------------------------------------------------------------------------------------------


def test_the_table_has_every_pair():
    assert set(TABLE) == set(itertools.product(State, State))


DEVICES = [{}, *({3: Device("0:0:0:0", back, front)} for back, front in itertools.product(State, State))]


@pytest.mark.parametrize("presence", Presence)
def test_steps_make_sense_in_every_state(presence):
    """One connection at a time, none without nodes, and nothing written after they were removed."""
    wanted = Wanted(presence, TWO)
    for back, front, online, link in itertools.product(State, State, (False, True), LINKS):
        for number, of_devices in enumerate(DEVICES):
            if number % 9 and (link not in (None, LINKS[3]) or number % 2):
                continue
            observed = Observed(True, True, back, front, online, RING, "", 128, of_devices)
            connected = link is not None
            for at, step in enumerate(steps := next_steps(observed, wanted, link)):
                if isinstance(step, Connect):
                    assert not connected
                    connected = True
                elif isinstance(step, Disconnect):
                    assert connected
                    connected = False
                elif isinstance(step, Remove):
                    assert (connected, at) == (False, len(steps) - 1)
            assert presence in (Presence.OFFERED, Presence.CLOSED, Presence.REMOVED) or not connected


HONEST = (State.INITIALISING, State.INITIALISED, State.CONNECTED, State.CLOSING, State.CLOSED, State.RECONFIGURING)


@pytest.mark.parametrize("online", ["0", "1"])
@pytest.mark.parametrize("front", HONEST)
def test_it_settles_from_every_pair_of_states(front, online):
    """With an honest front end: in a few steps, and either is served or has closed."""
    devices = itertools.product((None, *map(State, (0, 1, 3, 4, 5, 6))), (None, State.CONNECTED))
    for back, linked, (back_device, front_device) in itertools.product(State, (False, True), list(devices)):
        one = World(OFFERED)
        one.step_once()
        one.publish()
        one.nodes[f"{PLACE.back}/state"] = str(int(back))
        one.nodes[f"{PLACE.back}/online"] = online
        one.nodes[f"{PLACE.back}/vscsi-devs/dev-0/v-dev"] = "0:0:0:0"
        for directory, device in ((PLACE.back, back_device), (PLACE.front, front_device)):
            if device is not None:
                one.nodes[f"{directory}/vscsi-devs/dev-0/state"] = str(int(device))
        one.say(front)
        one.link = Link(one.ring(), Stage.USED) if linked else None
        assert one.settle() < 16
        assert states(one) in ((4, 4), (2 if online == "1" else 6, 6)), one.log
        assert (one.link and one.link.ring) == (one.ring() if states(one) == (4, 4) else None)


VALUES = st.sampled_from([*"0123456789", "", "-1", "99999999999", "x", "4\0", "\u0664"])
NODES = st.dictionaries(
    st.sampled_from(
        [f"{PLACE.back}/{name}" for name in ("state", "online", "frontend", "feature-sg-grant")]
        + [f"{PLACE.back}/vscsi-devs/dev-{number}/{name}" for number in range(3) for name in ("state", "v-dev")]
        + [f"{PLACE.front}/{name}" for name in ("state", "ring-ref", "event-channel", "backend", "protocol")]
        + [f"{PLACE.front}/vscsi-devs/dev-{number}/state" for number in range(3)]
    ),
    VALUES,
)


@given(NODES, st.lists(st.tuples(st.sampled_from(["state", "ring-ref", "backend", "vscsi-devs/dev-0/state"]), VALUES)))
def test_whatever_stands_there_and_whatever_the_guest_writes(nodes, written):
    """It is only ever one connection; once the guest is honest again, and closes, everything is in order again."""
    one = World(OFFERED)
    one.step_once()
    one.nodes.update(nodes)
    for name, value in written:
        one.step_once()
        one.nodes[f"{PLACE.front}/{name}"] = value
    one.wanted = replace(REMOVED, forced=True)
    one.step_once()
    one.step_once()
    assert (one.observe().there, one.link) == (False, None)
    one.wanted = OFFERED
    one.settle()
    assert is_served(one)
