"""The handshake: what is to be done next, from what stands in the nodes and what is wanted.

A pure function without memory, so that a back end which was killed goes on from what it finds, and a tool, or an earlier back end,
may have left anything at all.  Each of its answers is done in the order given; then it is asked again, until it has nothing to say.

``xen-scsifront`` of Linux decides what a front end does: it looks at our state when that is written, publishes its ring with
"initialised", adds and removes logical units by the states of their nodes, and has no way from "closed" but new nodes.  Where those
are somebody else's to make, as in a driver domain, they are waited for.
"""

from collections.abc import Callable, Iterator, Mapping

from tgtcore_xen.xenbus import devices, paths
from tgtcore_xen.xenbus.observed import Observed
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.step import Case, Connect, Disconnect, Make, Refuse, Remove, Step, Write, state
from tgtcore_xen.xenbus.wanted import Link, Presence, Stage, Wanted

Rule = Callable[[Case], Iterator[Step]]


def next_steps(observed: Observed, wanted: Wanted, link: Link | None) -> list[Step]:
    """What is to be done now, in this order; nothing: wait for the next change."""
    return list(_PRESENCES[wanted.presence](Case(observed, wanted, link)))


# ---- by what is wanted ----------------------------------------------------------------------------------------------


def _offered(case: Case) -> Iterator[Step]:
    observed = case.observed
    if not observed.there:
        yield from _disconnect(case)
        yield from _make(case)
    elif not observed.whole:
        yield from _disconnect(case)
        yield from _remove(case)
    elif not observed.online:
        yield from _closed(case)
    else:
        yield from TABLE[observed.states](case)


def _held(case: Case) -> Iterator[Step]:
    yield from _disconnect(case)


def _lost(case: Case) -> Iterator[Step]:
    yield from _disconnect(case)
    if case.observed.there:
        yield from _remove(case)


def _closed(case: Case) -> Iterator[Step]:
    """The closing handshake: the front end lets go while it is still served, for it has caches to write back."""
    observed, wanted = case.observed, case.wanted
    if not observed.there or not observed.whole:
        yield from _disconnect(case)
        if observed.there and wanted.presence is not Presence.CLOSED:
            yield from _remove(case)
        return
    if observed.online:
        yield Write(paths.ONLINE, "0")
    if observed.is_in_use and observed.back is not State.CLOSED and not wanted.forced:
        if observed.back is not State.CLOSING:
            yield state(State.CLOSING)
        yield from _still_served(case)
        return
    yield from _disconnect(case)
    if observed.back is not State.CLOSED:
        yield state(State.CLOSED)
    if wanted.presence is Presence.REMOVED or (wanted.presence is Presence.OFFERED and wanted.renew):
        yield from _remove(case)


_PRESENCES: Mapping[Presence, Rule] = {
    Presence.OFFERED: _offered,
    Presence.HELD: _held,
    Presence.CLOSED: _closed,
    Presence.REMOVED: _closed,
    Presence.LOST: _lost,
}


# ---- by the states of both ends ---------------------------------------------------------------------------------------


def _begin(case: Case) -> Iterator[Step]:
    """The front end has not begun, or begins again after a crash."""
    yield from _disconnect(case)
    if case.observed.back is not State.INIT_WAIT:
        yield state(State.INIT_WAIT)


def _connect(case: Case) -> Iterator[Step]:
    """The front end has a ring for us: a new one if it has used one before, after a suspend for instance, whatever its number."""
    link, ring = case.link, case.observed.ring
    if link is None or link.ring != ring or link.stage is Stage.USED:
        yield from _connect_anew(case)
    elif link.stage is Stage.MADE:
        yield from devices.announce(case)


def _connected(case: Case) -> Iterator[Step]:
    """Both ends are at work."""
    if not _has_ring(case):
        yield from _connect_anew(case)
        return
    yield from devices.promote(case, silent=False)
    yield from devices.sweep(case)
    yield from devices.reconfigure(case)


def _reconfigured(case: Case) -> Iterator[Step]:
    """The front end has finished."""
    if not _has_ring(case):
        yield from _connect_anew(case)
        return
    yield from devices.promote(case, silent=True)
    yield state(State.CONNECTED)


def _change_devices(case: Case) -> Iterator[Step]:
    """The front end has let go of old logical units, and waits for the new ones."""
    yield from devices.change(case) if _has_ring(case) else _connect_anew(case)


def _jumped(case: Case) -> Iterator[Step]:
    """The front end says that it is connected before we do."""
    yield from devices.announce(case) if _has_ring(case) else _connect_anew(case)


def _still_served(case: Case) -> Iterator[Step]:
    """One of the ends closes; until it has, the front end is served."""
    observed = case.observed
    used = observed.front is not State.INITIALISED and observed.back is not State.CLOSED and not case.wanted.refused
    if case.link is None and observed.ring is not None and used:
        yield Connect(observed.ring)


def _closing(case: Case) -> Iterator[Step]:
    """The front end closes of its own accord."""
    yield from _still_served(case)
    if case.observed.back not in (State.CLOSING, State.CLOSED):
        yield state(State.CLOSING)


def _front_closed(case: Case) -> Iterator[Step]:
    """It has closed of its own accord: a driver that is loaded again closes at once unless it finds us waiting."""
    yield from _disconnect(case)
    if case.observed.back is State.CLOSED:
        yield state(State.INIT_WAIT)
    elif case.observed.back is not State.INIT_WAIT:
        yield state(State.CLOSED)


def _wait(case: Case) -> Iterator[Step]:
    """It is the front end's turn."""
    if case.link is None:
        yield from _connect_anew(case)


def _ignore(case: Case) -> Iterator[Step]:
    """The front end has no business to be there."""
    yield from ()


_EVERY = tuple(State)
_EARLY = (State.UNKNOWN, State.INITIALISING, State.INIT_WAIT, State.INITIALISED)
_CLOSE = (State.CLOSING, State.CLOSED)

_ROWS: tuple[tuple[tuple[State, ...], tuple[State, ...], Rule], ...] = (
    # our state, its state, what to do
    (_EVERY, (State.UNKNOWN, State.RECONFIGURED), _ignore),
    (_EVERY, (State.INITIALISING, State.INIT_WAIT), _begin),
    (_EVERY, (State.INITIALISED,), _connect),
    (_EARLY, (State.CONNECTED,), _jumped),
    ((State.CONNECTED,), (State.CONNECTED,), _connected),
    ((State.RECONFIGURING,), (State.CONNECTED,), _wait),
    ((State.RECONFIGURED,), (State.CONNECTED,), _reconfigured),
    (_CLOSE, (State.CONNECTED, State.RECONFIGURING), _still_served),
    (_EVERY, (State.CLOSING,), _closing),
    (_EVERY, (State.CLOSED,), _front_closed),
    (_EARLY, (State.RECONFIGURING,), _change_devices),
    ((State.CONNECTED, State.RECONFIGURING), (State.RECONFIGURING,), _change_devices),
    ((State.RECONFIGURED,), (State.RECONFIGURING,), _wait),
)

TABLE: Mapping[tuple[State, State], Rule] = {
    (back, front): rule for backs, fronts, rule in _ROWS for back in backs for front in fronts
}
"""What to do with an offered virtual HBA, by our state and that of the front end."""


# ---- parts ----------------------------------------------------------------------------------------------------------


def _make(case: Case) -> Iterator[Step]:
    if not case.wanted.found:
        yield Make()


def _remove(case: Case) -> Iterator[Step]:
    if not case.wanted.found:
        yield Remove()


def _disconnect(case: Case) -> Iterator[Step]:
    if case.link is not None:
        yield Disconnect()


def _has_ring(case: Case) -> bool:
    """Whether the connection is that to the ring which the front end says it uses."""
    return case.link is not None and case.link.ring == case.observed.ring


def _connect_anew(case: Case) -> Iterator[Step]:
    """A ring was served before if it is found by a back end that has none yet, and both ends were further than "initialised"."""
    back, front = case.observed.states
    fresh = case.link is not None or (front is State.INITIALISED and back is not State.CONNECTED)
    ring = case.observed.ring
    yield from _disconnect(case)
    yield Connect(ring, fresh) if ring is not None else Refuse("its front end names no ring and event channel")
