"""What a virtual HBA is to be, and what it has: the two other things beside its nodes that the next steps depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tgtcore_xen.xenbus.observed import Observed, Ring
from tgtcore_xen.xenbus.states import State


class Presence(Enum):
    """What a guest is to see of its virtual HBA.

    * OFFERED: it may use it.
    * HELD: nothing changes, and nothing is served; commands wait in the ring.
    * CLOSED: it has to close it; the nodes stay.
    * REMOVED: it has to close it; the nodes go.
    * LOST: the guest is gone.
    """

    OFFERED = "offered"
    HELD = "held"
    CLOSED = "closed"
    REMOVED = "removed"
    LOST = "lost"


@dataclass(frozen=True)
class Wanted:
    """What a virtual HBA is to be.

    :param devices: name of the logical unit by ``h:c:t:l``; None: not known before somebody has asked through the connection.
    :param renew: whether one that was closed, by us or by a tool, is offered anew.
    :param late: whether the guest is served no more while it closes, only answered.
    :param forced: whether the guest is not waited for any more while it closes.
    :param refused: whether it can't be served, so that it closes without being served.
    :param found: whether somebody else makes and removes the nodes.
    """

    presence: Presence
    devices: Mapping[str, str] | None = None
    renew: bool = False
    late: bool = False
    forced: bool = False
    refused: bool = False
    found: bool = False


class Stage(Enum):
    """How far a connection has come: MADE, ANNOUNCED by our state, USED by the front end."""

    MADE = 0
    ANNOUNCED = 1
    USED = 2


class Link(NamedTuple):
    """A connection to a front end's ring."""

    ring: Ring
    stage: Stage = Stage.MADE


_IN_USE = (State.CONNECTED, State.RECONFIGURING)


def followed(link: Link | None, observed: Observed) -> Link | None:
    """A connection after its nodes were looked at: a front end that was once further than "initialised" has begun to use it."""
    if link is None or observed.front not in _IN_USE or observed.ring != link.ring:
        return link
    return link._replace(stage=Stage.USED)
