"""What a hostile front end does next."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tgtcore_xen.frontend.hostile.memory import HostileMemory
from tgtcore_xen.frontend.hostile.nodes import HostileNodes
from tgtcore_xen.frontend.hostile.ring import HostileRing
from tgtcore_xen.platform.emulated import EmulatedGuest, GuestState
from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.states import State, parse_state

_KEPT = 100
_PATIENCE = 200
_PATIENCE_WHEN_CLOSED = 10
"""So often it looks in vain before it gives up."""
RINGS = 100
"""So many it offers before it gives up; the pages of those that it has left stay in use."""


class HostileFrontEnd:
    """Mostly it does its part of the handshake, for that is where most can be done wrong afterwards.

    It does nothing by itself: each :meth:`act` is one step, and the loop has to turn in between.  With the same seed, and a back
    end that does the same, it does the same.

    :param guest: with at least :data:`PAGES <tgtcore_xen.frontend.hostile.memory.PAGES>` and :data:`RINGS` pages.
    :param number: of its virtual HBA.
    :param cdbs: what its commands ask for.
    :param addresses: channel, target and LUN of virtual devices, whether they are there or not.
    """

    def __init__(
        self,
        guest: EmulatedGuest,
        random: Random,
        cdbs: Sequence[bytes],
        addresses: Sequence[tuple[int, int, int]],
        number: int = 0,
    ) -> None:
        self.guest = guest
        self.acts: Counter[str] = Counter()
        """What it has done, and how often."""
        self.last: deque[str] = deque(maxlen=_KEPT)
        """What it has done last."""
        self.connections = 0
        """How often the back end has been connected with it."""
        self.mischief = 0
        """How often it has changed something while the back end was in a call."""
        self.nodes = HostileNodes(guest, random, number)
        self._random = random
        self._cdbs = cdbs
        self._addresses = addresses
        self._memory = HostileMemory(guest, random)
        self._ring: HostileRing | None = None
        self._rings = 0
        self._idle = 0
        self._is_inside = False
        self._rudeness = random.choice(_RUDENESS)

    @property
    def dead(self) -> bool:
        """Whether its guest is gone."""
        return self.guest.state is GuestState.DEAD

    # ---- one step ---------------------------------------------------------------------------------------------------------

    def act(self) -> str:
        """Do something; what that was.  Its guest is alive."""
        if self._random.random() < self._rudeness:
            names, weights = _RUDE
        else:
            names, weights = _CONNECTED if self.connected else _APART
        (name,) = self._random.choices(names, weights)
        self._is_inside = True
        self._do(name)
        self._is_inside = False
        return name

    def _do(self, name: str) -> None:
        self.acts[name] += 1
        self.last.append(name)
        _ACTS[name](self)

    @property
    def connected(self) -> bool:
        """Whether its back end serves its ring, as far as the store says."""
        return self._ring is not None and self._state(self.nodes.paths.back) in (
            State.CONNECTED,
            State.RECONFIGURING,
            State.RECONFIGURED,
        )

    def _state(self, folder: str) -> State:
        return parse_state(self.nodes.read(f"{folder}/{paths.STATE}"))

    def meddle(self, chance: float) -> None:
        """Be called by the machine in the middle of a call of the back end's: something may be not as it was any more.

        :param chance: how probable that is.
        """
        if self._is_inside or self.dead or self._random.random() > chance:
            return
        self._is_inside = True
        self.mischief += 1
        self._do(self._random.choice(_SUDDEN))
        self._is_inside = False

    # ---- acts -------------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Do what an honest front end would do now, if anything."""
        back, front = self._state(self.nodes.paths.back), self._state(self.nodes.paths.front)
        reaction = _HANDSHAKE.get((back, front))
        if reaction is not None:
            self._idle = 0
            reaction(self)
            return
        self._idle += 1
        patience = _PATIENCE_WHEN_CLOSED if back is front is State.CLOSED else _PATIENCE
        if self._idle > patience:
            self._do("die")

    def _offer(self) -> None:
        if self._rings == RINGS:
            self._do("die")
            return
        self._leave_ring()
        self._rings += 1
        self._ring = ring = HostileRing(self.guest, self._random, self._memory, self._cdbs, self._addresses)
        self.nodes.write(paths.RING_REF, str(ring.reference))
        self.nodes.write(paths.EVENT_CHANNEL, str(ring.port))
        self.nodes.write(paths.STATE, str(int(State.INITIALISED)))

    def _use(self) -> None:
        self.connections += 1
        for name in self.nodes.names(f"{self.nodes.paths.back}/{paths.DEVICES}"):
            self.nodes.write(f"{paths.DEVICES}/{name}/state", str(int(State.CONNECTED)))
        self.nodes.write(paths.STATE, str(int(State.CONNECTED)))

    def _reconfigure(self) -> None:
        self.nodes.write(paths.STATE, str(int(State.RECONFIGURING)))

    def _close(self) -> None:
        self._leave_ring()
        self.nodes.write(paths.STATE, str(int(State.CLOSED)))

    def _leave_ring(self) -> None:
        if self._ring is not None:
            self._ring.leave()
            self._ring = None

    def _on_ring(self, what: Callable[[HostileRing], None]) -> None:
        if self._ring is not None:
            what(self._ring)

    def resume(self) -> None:
        """Connect anew, as a guest does that was suspended."""
        self._offer()

    def migrate(self) -> None:
        """Be another domain."""
        self._leave_ring()
        self.guest.migrate()
        self.guest.resume()
        self._memory.grant()

    def die(self) -> None:
        """Be destroyed."""
        self.guest.destroy()


def _ring_act(what: Callable[[HostileRing], None]) -> Callable[[HostileFrontEnd], None]:
    return lambda front: front._on_ring(what)


_HANDSHAKE: Mapping[tuple[State, State], Callable[[HostileFrontEnd], None]] = {
    **{(back, State.INITIALISING): HostileFrontEnd._offer for back in (State.INITIALISING, State.INIT_WAIT)},
    **{(State.CONNECTED, front): HostileFrontEnd._use for front in (State.INITIALISED, State.RECONFIGURING)},
    (State.RECONFIGURING, State.CONNECTED): HostileFrontEnd._reconfigure,
    (State.RECONFIGURED, State.RECONFIGURING): HostileFrontEnd._use,
    **{
        (back, front): HostileFrontEnd._close
        for back in (State.CLOSING, State.CLOSED)
        for front in State
        if front is not State.CLOSED
    },
}

_ACTS: Mapping[str, Callable[[HostileFrontEnd], None]] = {
    "go on": HostileFrontEnd.go_on,
    "honest": _ring_act(HostileRing.honest),
    "malformed": _ring_act(HostileRing.malformed),
    "manage": _ring_act(HostileRing.manage),
    "noise": _ring_act(HostileRing.noise),
    "overwrite": _ring_act(HostileRing.overwrite),
    "overrun": _ring_act(HostileRing.overrun),
    "meddle": _ring_act(HostileRing.meddle),
    "scribble": _ring_act(HostileRing.scribble),
    "storm": _ring_act(HostileRing.storm),
    "hang up": _ring_act(HostileRing.hang_up),
    "tear the ring": _ring_act(HostileRing.tear),
    "change memory": lambda front: front._memory.change(),
    "tear memory": lambda front: front._memory.tear(),
    "jump": lambda front: front.nodes.jump(),
    "lie": lambda front: front.nodes.lie(),
    "vanish": lambda front: front.nodes.vanish(),
    "name devices": lambda front: front.nodes.name_devices(),
    "crowd": lambda front: front.nodes.crowd(),
    "shut out": lambda front: front.nodes.shut_out(),
    "trespass": lambda front: front.nodes.trespass(),
    "resume": HostileFrontEnd.resume,
    "migrate": HostileFrontEnd.migrate,
    "die": HostileFrontEnd.die,
}


def _weighted(**weights: float) -> tuple[list[str], list[float]]:
    return [name.replace("_", " ") for name in weights], list(weights.values())


_CONNECTED = _weighted(
    go_on=4,
    honest=40,
    malformed=12,
    manage=6,
    noise=1,
    overwrite=4,
    meddle=1,
    storm=3,
    change_memory=12,
    tear_memory=4,
    name_devices=0.5,
    trespass=0.5,
)
"""What does not end its connection, or seldom."""
_APART = _weighted(go_on=100, storm=1, change_memory=1, trespass=0.2, name_devices=0.2)
_RUDE = _weighted(
    overrun=6,
    scribble=4,
    hang_up=2,
    tear_the_ring=2,
    jump=4,
    lie=8,
    vanish=4,
    crowd=1,
    shut_out=4,
    name_devices=4,
    resume=2,
    migrate=1,
    die=1,
)
"""What may well be its end."""
_RUDENESS = (0.002, 0.01, 0.05)
_SUDDEN = (
    "change memory",
    "tear memory",
    "overwrite",
    "overrun",
    "jump",
    "lie",
    "vanish",
    "shut out",
    "hang up",
    "die",
)
"""What may happen while the back end is in a call."""
