"""What can be done about a virtual HBA, and what it depends on."""

from typing import NamedTuple

from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.observed import Observed, Ring
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.wanted import Link, Wanted


class Make(NamedTuple):
    """Make the nodes of both ends, with their permissions; whatever else is there goes first."""


class Remove(NamedTuple):
    """Remove the nodes of both ends."""


class Connect(NamedTuple):
    """Map the ring and bind the event channel; what waits in the ring is served.

    :param fresh: whether no back end has served it before.
    """

    ring: Ring
    fresh: bool = False


class Disconnect(NamedTuple):
    """Serve nothing any more, and let go of ring and event channel."""


class Write(NamedTuple):
    """Set a node below the directory of the back end."""

    name: str
    value: str


class Erase(NamedTuple):
    """Remove a node below the directory of the back end, and all below it."""

    name: str


class Refuse(NamedTuple):
    """The front end can't be served."""

    why: str


Step = Make | Remove | Connect | Disconnect | Write | Erase | Refuse


class Case(NamedTuple):
    """What there is."""

    observed: Observed
    wanted: Wanted
    link: Link | None


def state(value: State) -> Write:
    """Set the state of the back end."""
    return Write(paths.STATE, str(int(value)))
