"""What can be removed or drained, as users name it."""

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tgtcore.nexus import Nexus
    from tgtcore.transport import SessionInfo


class Kind(Enum):
    """A kind of thing; the value is shown to users."""

    ACCOUNT = "account"
    TRANSPORT = "transport"
    PORTAL = "portal"
    SESSION = "session"
    LOGICAL_UNIT = "logical unit"
    TARGET = "target"
    LUN = "LUN"
    DAEMON = "daemon"
    PLUGIN = "plugin"


class Thing(NamedTuple):
    """One thing.

    :param name: its name in the configuration; of a LUN its target, of a portal or a session its transport.
    :param part: of a portal its address, of a session its id, of a LUN its map's index and its number.
    :param nexus: of a session its nexus, for a driver that has started anew may give an id again.
    """

    kind: Kind
    name: str
    part: str | tuple[int, int] = ""
    nexus: "Nexus | None" = None

    def __str__(self) -> str:
        return _WORDS.get(self.kind, _named)(self)

    @property
    def whole(self) -> "Thing | None":
        """What it goes away with: the target of a LUN, the transport of a portal."""
        kind = _WHOLES.get(self.kind)
        return None if kind is None else Thing(kind, self.name)


def lun_thing(target: str, index: int, lun: int) -> Thing:
    """A LUN.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    """
    return Thing(Kind.LUN, target, (index, lun))


def session_thing(transport: str, session: "SessionInfo") -> Thing:
    """A session that is there."""
    return Thing(Kind.SESSION, transport, session.id, session.nexus)


def _named(thing: Thing) -> str:
    return f"{thing.kind.value} {thing.name}"


def _lun(thing: Thing) -> str:
    assert isinstance(thing.part, tuple)
    index, lun = thing.part
    return f"LUN {lun} of target {thing.name}{f' (private map {index})' if index else ''}"


def _of_transport(thing: Thing) -> str:
    return f"{thing.kind.value} {thing.part} of transport {thing.name}"


_WORDS = {Kind.LUN: _lun, Kind.PORTAL: _of_transport, Kind.SESSION: _of_transport}

_WHOLES = {Kind.LUN: Kind.TARGET, Kind.PORTAL: Kind.TRANSPORT}
