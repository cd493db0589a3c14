"""What stands in the nodes of a virtual HBA, parsed strictly: a guest writes what it likes into its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.paths import HbaPaths
from tgtcore_xen.xenbus.states import State, parse_state

_NUMBER_MAX = (1 << 32) - 1
_PROTOCOL_CHARACTERS = 40
_OFFERED = (State.INITIALISED, State.CONNECTED, State.CLOSING)
"""States of a logical unit that a guest may have added, and not removed so far."""

_IN_USE = (State.INITIALISED, State.CONNECTED, State.CLOSING, State.RECONFIGURING, State.RECONFIGURED)
"""States of a front end that has to close first."""

SG_GRANT_MIN = 26
"""What a request has room for: front ends take it where a back end says nothing."""

Values = Mapping[str, str | None]
"""Values of nodes by name below a directory; None: there is no such node."""


class Ring(NamedTuple):
    """What a front end offers.

    :param reference: grant reference of the page with the ring.
    :param channel: its end of an event channel.
    """

    reference: int
    channel: int


class Device(NamedTuple):
    """A logical unit of the virtual HBA.

    :param address: ``h:c:t:l``.
    :param back: what the back end says of it.
    :param front: what the front end says of it.
    :param name: target and LUN; empty: not known.
    """

    address: str
    back: State
    front: State
    name: str = ""

    @property
    def is_in_use(self) -> bool:
        """Whether the guest has it, as far as the nodes say: it may have caches of what is on it."""
        return self.back in _OFFERED and self.front is not State.CLOSED


@dataclass(frozen=True)
class Observed:
    """The nodes of a virtual HBA at one moment.

    :param there: whether any of those is there that are looked at.
    :param whole: whether each end names the other, as it is when they were made to the end.
    :param back: state of the back end; None: there is no such node.
    :param front: state of the front end; None: there is no such node.
    :param online: whether the back end is to be there, as tools say.
    :param ring: what the front end offers; None: nothing, or nothing that makes sense.
    :param protocol: of the front end; empty where it says none.
    :param sg_grant: segments of a command that the back end has promised.
    :param target: that whose logical units the front end uses, or has used; empty: of none so far.
    :param devices: logical units by number.
    """

    there: bool = False
    whole: bool = False
    back: State | None = None
    front: State | None = None
    online: bool = False
    ring: Ring | None = None
    protocol: str = ""
    sg_grant: int = SG_GRANT_MIN
    target: str = ""
    devices: Mapping[int, Device] = field(default_factory=dict)

    @property
    def is_in_use(self) -> bool:
        """Whether a front end has the virtual HBA, and has to let go of it."""
        return self.front in _IN_USE

    @property
    def states(self) -> tuple[State, State]:
        """Those of back end and front end; nodes that are whole have both."""
        return self.back or State.UNKNOWN, self.front or State.UNKNOWN

    def is_left(self, *, found: bool) -> bool:
        """Whether nothing is to be done any more about one that is removed.

        :param found: whether the nodes are somebody else's, with whom they stay when they are closed.
        """
        return not self.there or (found and (self.back is State.CLOSED or not self.whole))

    @classmethod
    def parse(
        cls, place: HbaPaths, back: Values, front: Values, devices: Mapping[int, tuple[Values, Values]]
    ) -> "Observed":
        """From the values of the nodes.

        :param back: those in ``paths.BACK_NODES``.
        :param front: those in ``paths.FRONT_NODES``.
        :param devices: of each number: ``v-dev``, ``p-devname`` and ``state`` of the back end, ``state`` of the front end.
        """
        return cls(
            there=any(value is not None for value in (*back.values(), *front.values())),
            whole=back.get(paths.FRONTEND) == place.front
            and back.get(paths.FRONTEND_ID) == str(place.domid)
            and front.get(paths.BACKEND) == place.back
            and front.get(paths.BACKEND_ID) == str(place.back_domid)
            and None not in (back.get(paths.STATE), front.get(paths.STATE)),
            back=_state(back.get(paths.STATE)),
            front=_state(front.get(paths.STATE)),
            online=back.get(paths.ONLINE) == "1",
            ring=_ring(front),
            protocol=(front.get(paths.PROTOCOL) or "")[:_PROTOCOL_CHARACTERS],
            sg_grant=max(_number(back.get(paths.SG_GRANT)) or 0, SG_GRANT_MIN),
            target=back.get(paths.TARGET) or "",
            devices={number: _device(*values) for number, values in sorted(devices.items())},
        )


def are_others(before: Observed, now: Observed) -> bool:
    """Whether nodes that somebody else makes and removes are gone, or new: only who makes them writes the first state."""
    is_new = now.back is State.INITIALISING and before.back is not State.INITIALISING
    return is_new or (before.there and not now.there)


def _state(value: str | None) -> State | None:
    return None if value is None else parse_state(value)


def _number(value: str | None) -> int | None:
    """A decimal number of 32 bits."""
    if value is None or not (value.isascii() and value.isdecimal() and len(value) <= 10):
        return None
    number = int(value)
    return number if number <= _NUMBER_MAX else None


def _ring(front: Values) -> Ring | None:
    reference, channel = _number(front.get(paths.RING_REF)), _number(front.get(paths.EVENT_CHANNEL))
    return None if reference is None or channel is None else Ring(reference, channel)


def _device(back: Values, front: Values) -> Device:
    return Device(
        back.get(paths.V_DEV) or "",
        _state(back.get(paths.STATE)) or State.UNKNOWN,
        _state(front.get(paths.STATE)) or State.UNKNOWN,
        back.get(paths.P_DEVNAME) or "",
    )
