"""The table as a whole; its single lines are played in test_queue.py."""

import pytest
from tgtcore_ibmvio.crq.states import TRANSITIONS, Action, Event, State

WITH_SESSION = {State.CONNECTED, State.SUSPENDED}
ENDING = {State.LEAVING, State.RESETTING, State.CLOSING}


def test_it_knows_every_event_in_every_state():
    assert set(TRANSITIONS) == {(state, event) for state in State for event in Event}


@pytest.mark.parametrize("key", TRANSITIONS, ids=lambda key: f"{key[0].name}-{key[1].name}")
def test_a_session_begins_and_ends_exactly_once(key):
    (before, event), (after, actions) = key, TRANSITIONS[key]
    assert (Action.BEGIN in actions) == (before not in WITH_SESSION and after in WITH_SESSION)
    assert (Action.END in actions) == (before in WITH_SESSION and after not in WITH_SESSION)
    if before in ENDING and after not in ENDING:
        assert event is Event.ENDED, "somebody must wait for the last command"


@pytest.mark.parametrize("key", TRANSITIONS, ids=lambda key: f"{key[0].name}-{key[1].name}")
def test_what_the_partner_sends_always_leads_to_something(key):
    before, event = key
    from_partner = {Event.INIT, Event.SRP, Event.MAD, Event.PING, Event.UNKNOWN}
    if event in from_partner:
        assert TRANSITIONS[key].actions or TRANSITIONS[key].state is not before
