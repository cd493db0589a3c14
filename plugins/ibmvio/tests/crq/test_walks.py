"""Random walks: whatever comes in whatever order, a queue keeps its promises, and in the end it is what somebody wants it to be."""

import logging
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tgtcore_ibmvio.crq import Queue, State
from tgtcore_ibmvio.crq.elements import INIT, INIT_COMPLETE, PING, PING_RESPONSE
from tgtcore_ibmvio.platform import Hcall

EVENTS = [bytes((0xFF, code, 0, status)) + bytes(12) for code in (1, 2, 6, 9, 10) for status in (0, 0x20)]
ELEMENTS = [
    INIT,
    INIT,
    INIT_COMPLETE,
    PING,
    PING_RESPONSE,
    *EVENTS,
    *(bytes((0x80, kind)) + bytes(14) for kind in (1, 2, 0x77)),
]
WISHES = ("open", "shut", "close")
AT_LAST = {"open": {State.WAITING, State.CONNECTED, State.SUSPENDED}, "shut": {State.SHUT}, "close": {State.CLOSED}}
SETTINGS = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


class Session:
    """The owner of a queue, which believes nothing of it."""

    def __init__(self):
        self.there = False
        self.busy = False
        self.ending = None

    def begin(self):
        assert not self.there, "the last session has not ended"
        assert self.ending is None
        self.there = True

    def end(self, then):
        assert self.there, "there is none"
        self.there = False
        self.ending = then

    def ended(self):
        if self.ending is not None:
            then, self.ending = self.ending, None
            then()

    def receive(self, address, length):
        assert self.there, "a request without a session"

    def answer_mad(self, address, length):
        assert self.there, "a datagram without a session"

    def rests(self):
        assert not self.there
        assert self.ending is None, "commands have not ended"


@pytest.fixture(autouse=True)
def _in_silence(caplog):
    """The platforms here give much to complain of."""
    caplog.set_level(logging.CRITICAL, "tgtcore_ibmvio")


def walk(adapter, clock, seed):
    dice, session = random.Random(seed), Session()
    queue = Queue(adapter, session, clock.later, "adapter 30000003")
    for _ in range(60):
        step = dice.randrange(10)
        if step < 5:
            queue.element(dice.choice(ELEMENTS))
        elif step == 5:
            getattr(queue, dice.choice(WISHES))()
        elif step == 6:
            session.ended()
        elif step == 7:
            session.busy = not session.busy
        elif step == 8:
            moods = [dice.choice((Hcall.SUCCESS, dice.choice(list(Hcall)))) for _ in range(3)]
            adapter.answers[dice.choice(("send", "register", "free", "enable", "ready"))] = [*moods, Hcall.SUCCESS]
        else:
            clock.advance(dice.choice((0.001, 1, 40)))
    adapter.answers.clear()
    session.busy = False
    for wish in dice.sample(WISHES, 3):
        for _ in range(3):  # a platform that has refused is asked when somebody wants it again
            getattr(queue, wish)()
            session.ended()
            clock.advance(2000)
        assert queue.state in AT_LAST[wish]
        assert clock.pending == 0
    queue.open()
    session.ended()
    queue.element(INIT)
    session.ended()
    clock.advance(2000)
    assert (queue.state, session.there) == (State.CONNECTED, True), "who comes now is served"


@given(st.integers(0, (1 << 64) - 1))
@settings(max_examples=50, **SETTINGS)
def test_a_walk_ends_where_somebody_wants(adapter, clock, seed):
    walk(type(adapter)(), type(clock)(), seed)


@pytest.mark.fuzz
@given(st.integers(0, (1 << 64) - 1))
@settings(max_examples=2000, **SETTINGS)
def test_thousands_of_walks_end_where_somebody_wants(adapter, clock, seed):
    walk(type(adapter)(), type(clock)(), seed)
