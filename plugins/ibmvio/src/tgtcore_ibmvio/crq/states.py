"""The life of a queue as a table: what each event leads to in each state.

A session with its commands may be there in CONNECTED and SUSPENDED, and until ENDED in the three states that end it.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple


class State(Enum):
    """Where a queue is in its life; the values are for people."""

    CLOSED = "closed"
    OPENING = "opening"
    """The platform is asked for a queue."""
    SHUT = "takes no logins"
    """There is a queue, and a partner that greets has to wait for an answer."""
    WAITING = "waiting for the partner"
    CONNECTED = "connected"
    SUSPENDED = "suspended"
    """The partner is about to stop: its commands come to their end, and what it sends is kept until it goes on."""
    LEAVING = "partner gone"
    """The partner has gone or begun again, and commands have not all ended; our own queue stays."""
    RESETTING = "resetting"
    """The session ends for what the partner did, or because somebody wants so; the partner hears of it by a new queue of ours."""
    REOPENING = "reopening"
    CLOSING = "closing"
    FREEING = "freeing"


class Event(Enum):
    """What happens to a queue."""

    OPEN = "somebody wants a partner"
    SHUT = "nobody wants a partner now"
    CLOSE = "nobody wants a queue"
    ABANDON = "the platform is about to end"
    REGISTERED = "the platform has given the queue"
    REFUSED = "the platform does not give a queue"
    FREED = "the platform has taken the queue back"
    INIT = "INIT"
    INIT_COMPLETE = "INIT COMPLETE"
    SRP = "an SRP information unit"
    MAD = "a management datagram"
    PING = "a ping"
    PING_RESPONSE = "the answer to a ping"
    UNKNOWN = "an element of an unknown kind"
    PARTNER_GONE = "the partner has failed or given up its queue"
    MIGRATED = "the partner has migrated"
    SUSPEND = "the partner is going to be suspended"
    RESUME = "the partner goes on"
    OVERRUN = "an element was overwritten by an event"
    PARTNER_CLOSED = "the partner has no queue"
    VIOLATION = "the session can't go on"
    ENDED = "the last command of the session has ended"


class Action(Enum):
    """What is done about it.  What may lead to another event at once comes last in a list."""

    REGISTER = "ask for a queue"
    FREE = "give the queue back"
    ENABLE = "use the queue again after a migration"
    GREET = "answer the greeting that was remembered, or greet where that is due"
    SEND_INIT_COMPLETE = "answer its greeting"
    SEND_PING_RESPONSE = "answer a ping"
    BEGIN = "the partner may log in"
    END = "abort what is unfinished, in silence"
    RECEIVE = "take an SRP information unit"
    ANSWER_MAD = "answer a management datagram"
    SETTLE = "tell the platform when nothing is under way any more"
    STOP_SETTLING = "tell it no more"
    HOLD = "keep an element for later"
    RELEASE = "take what was kept"
    REMEMBER_INIT = "the partner waits for an answer to its greeting"
    FORGET_INIT = "it does not any more"
    LOOK = "see whether a partner is wanted"
    DISCARD = "count an element that means nothing now"
    TELL_RESTS = "tell that no partner can come"
    ASK_NO_MORE = "ask nothing more of the platform"


class Transition(NamedTuple):
    """What an event leads to."""

    state: State
    actions: tuple[Action, ...] = ()


_S, _E, _A = State, Event, Action

_ELEMENTS = (
    _E.INIT,
    _E.INIT_COMPLETE,
    _E.SRP,
    _E.MAD,
    _E.PING,
    _E.PING_RESPONSE,
    _E.UNKNOWN,
)
"""What comes of the partner itself."""


def _each(states: Iterable[State], event: Event, *actions: Action) -> dict[tuple[State, Event], Transition]:
    """Transitions that stay where they are."""
    return {(state, event): Transition(state, actions) for state in states}


_DEFAULTS: dict[tuple[State, Event], Transition] = {
    **{(state, event): Transition(state) for state in State for event in Event},
    **{key: one for event in _ELEMENTS for key, one in _each(State, event, _A.DISCARD).items()},
    **_each((_S.SHUT, _S.WAITING, _S.CONNECTED, _S.SUSPENDED), _E.PING, _A.SEND_PING_RESPONSE),
    **_each((_S.SHUT, _S.WAITING, _S.CONNECTED, _S.SUSPENDED), _E.PING_RESPONSE),
    **_each((_S.WAITING,), _E.MIGRATED, _A.ENABLE),
    **_each((_S.SHUT, _S.WAITING, _S.LEAVING, _S.RESETTING), _E.SUSPEND, _A.SETTLE),
    **_each((_S.SHUT, _S.WAITING, _S.CONNECTED, _S.LEAVING, _S.RESETTING), _E.RESUME, _A.STOP_SETTLING),
    **_each((_S.OPENING, _S.SHUT, _S.LEAVING), _E.INIT, _A.REMEMBER_INIT),
    **_each((_S.OPENING, _S.SHUT, _S.LEAVING), _E.PARTNER_GONE, _A.FORGET_INIT),
    **_each((_S.SHUT, _S.LEAVING), _E.MIGRATED, _A.FORGET_INIT, _A.ENABLE),
}

TRANSITIONS: Mapping[tuple[State, Event], Transition] = {
    **_DEFAULTS,
    # our own queue
    (_S.CLOSED, _E.OPEN): Transition(_S.OPENING, (_A.REGISTER,)),
    (_S.CLOSED, _E.SHUT): Transition(_S.OPENING, (_A.REGISTER,)),
    (_S.OPENING, _E.REGISTERED): Transition(_S.SHUT, (_A.LOOK,)),
    (_S.OPENING, _E.REFUSED): Transition(_S.FREEING, (_A.FREE,)),
    (_S.OPENING, _E.CLOSE): Transition(_S.FREEING, (_A.FREE,)),
    **{
        (state, event): Transition(after, (_A.FREE,))
        for state in (_S.SHUT, _S.WAITING)
        for event, after in (
            (_E.CLOSE, _S.FREEING),
            (_E.VIOLATION, _S.REOPENING),
            (_E.OVERRUN, _S.REOPENING),  # a greeting may be lost
        )
    },
    (_S.CONNECTED, _E.CLOSE): Transition(_S.CLOSING, (_A.END,)),
    (_S.SUSPENDED, _E.CLOSE): Transition(_S.CLOSING, (_A.END,)),
    (_S.LEAVING, _E.CLOSE): Transition(_S.CLOSING),
    (_S.RESETTING, _E.CLOSE): Transition(_S.CLOSING),
    (_S.CLOSING, _E.OPEN): Transition(_S.RESETTING),
    (_S.CLOSING, _E.SHUT): Transition(_S.RESETTING),
    (_S.CLOSING, _E.ENDED): Transition(_S.FREEING, (_A.FREE,)),
    (_S.FREEING, _E.FREED): Transition(_S.CLOSED, (_A.TELL_RESTS,)),
    (_S.FREEING, _E.OPEN): Transition(_S.REOPENING),
    (_S.FREEING, _E.SHUT): Transition(_S.REOPENING),
    (_S.REOPENING, _E.FREED): Transition(_S.OPENING, (_A.REGISTER,)),
    (_S.REOPENING, _E.CLOSE): Transition(_S.FREEING),
    (_S.RESETTING, _E.ENDED): Transition(_S.REOPENING, (_A.FREE,)),
    # a partner has to wait, for it would give up if there were no queue, or if its login were rejected
    (_S.WAITING, _E.SHUT): Transition(_S.SHUT, (_A.LOOK,)),
    (_S.SHUT, _E.OPEN): Transition(_S.WAITING, (_A.GREET,)),
    (_S.SHUT, _E.ABANDON): Transition(_S.CLOSED, (_A.ASK_NO_MORE,)),
    (_S.SHUT, _E.INIT_COMPLETE): Transition(_S.REOPENING, (_A.FREE,)),  # it takes itself for connected
    # the partner comes: whoever greets first
    (_S.WAITING, _E.INIT): Transition(_S.CONNECTED, (_A.BEGIN, _A.SEND_INIT_COMPLETE)),
    (_S.WAITING, _E.INIT_COMPLETE): Transition(_S.CONNECTED, (_A.BEGIN,)),
    # it works
    (_S.CONNECTED, _E.SRP): Transition(_S.CONNECTED, (_A.RECEIVE,)),
    (_S.CONNECTED, _E.MAD): Transition(_S.CONNECTED, (_A.ANSWER_MAD,)),
    (_S.CONNECTED, _E.INIT_COMPLETE): Transition(_S.CONNECTED),  # both have greeted at the same time
    (_S.CONNECTED, _E.SUSPEND): Transition(_S.SUSPENDED, (_A.SETTLE,)),
    (_S.SUSPENDED, _E.SUSPEND): Transition(_S.SUSPENDED, (_A.SETTLE,)),
    (_S.SUSPENDED, _E.SRP): Transition(_S.SUSPENDED, (_A.HOLD,)),
    (_S.SUSPENDED, _E.MAD): Transition(_S.SUSPENDED, (_A.HOLD,)),
    (_S.SUSPENDED, _E.RESUME): Transition(_S.CONNECTED, (_A.STOP_SETTLING, _A.RELEASE)),
    # it goes, and perhaps comes again before its commands have ended
    **{
        (state, event): Transition(_S.LEAVING, actions)
        for state in (_S.CONNECTED, _S.SUSPENDED)
        for event, actions in (
            (_E.INIT, (_A.REMEMBER_INIT, _A.END)),
            (_E.PARTNER_GONE, (_A.END,)),
            (_E.PARTNER_CLOSED, (_A.END,)),
            (_E.MIGRATED, (_A.ENABLE, _A.END)),
        )
    },
    (_S.LEAVING, _E.VIOLATION): Transition(_S.RESETTING),
    (_S.LEAVING, _E.ENDED): Transition(_S.SHUT, (_A.LOOK,)),
    # it breaks the rules, or is to come again later
    **{
        (state, event): Transition(_S.RESETTING, (_A.END,))
        for state in (_S.CONNECTED, _S.SUSPENDED)
        for event in (_E.UNKNOWN, _E.OVERRUN, _E.VIOLATION, _E.SHUT)
    },
}
"""For every state and every event."""
