"""The verbs that all removable things have: drain, reopen, and who holds on to them."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, create_model

from tgtcore.daemon import Daemon, Kind, Thing, lun_thing
from tgtcore.daemon.users import users_of
from tgtcore.management.progress import holder_shown
from tgtcore.management.verbs.leaving import Leaving
from tgtcore.management.verbs.luns import Lun
from tgtcore.management.verbs.plugins import PluginName
from tgtcore.management.verbs.table import missing, verb
from tgtcore.management.verbs.targets import TargetName, target_called
from tgtcore.management.verbs.transports import (
    Portal,
    SessionId,
    TransportName,
    portal_called,
    session_called,
    transport_called,
)
from tgtcore.management.verbs.units import UnitName, unit_called


class Noun(NamedTuple):
    """A kind of thing as verbs name it.

    :param arguments: what names one.
    :param find: the thing that they name.
    :param drain: what draining it means.
    """

    arguments: type[BaseModel]
    find: Callable[[Daemon, Any], Awaitable[Thing]]
    drain: str


async def _target(daemon: Daemon, wanted: TargetName) -> Thing:
    return Thing(Kind.TARGET, target_called(daemon, wanted.target).name)


async def _lun(daemon: Daemon, wanted: Lun) -> Thing:
    target_called(daemon, wanted.target)
    return lun_thing(wanted.target, wanted.map, wanted.lun)


async def _unit(daemon: Daemon, wanted: UnitName) -> Thing:
    unit_called(daemon, wanted.name)
    return Thing(Kind.LOGICAL_UNIT, wanted.name)


async def _portal(daemon: Daemon, wanted: Portal) -> Thing:
    return await portal_called(daemon, wanted.transport, wanted.address)


async def _session(daemon: Daemon, wanted: SessionId) -> Thing:
    return await session_called(daemon, wanted.transport, wanted.id)


async def _transport(daemon: Daemon, wanted: TransportName) -> Thing:
    transport_called(daemon, wanted.transport)
    return Thing(Kind.TRANSPORT, wanted.transport)


async def _plugin(daemon: Daemon, wanted: PluginName) -> Thing:
    if wanted.name not in daemon.plugins.names:
        raise missing("plugin", wanted.name, daemon.plugins.names)
    return Thing(Kind.PLUGIN, wanted.name)


NOUNS = {
    "target": Noun(TargetName, _target, "Let nobody log in to a target, and end its sessions"),
    "lun": Noun(Lun, _lun, "Show a LUN to nobody, and end its commands; initiators are told"),
    "lu": Noun(UnitName, _unit, "Show a logical unit to nobody, and end its commands; initiators are told"),
    "portal": Noun(Portal, _portal, "Close a portal, and end the sessions that came through it"),
    "session": Noun(SessionId, _session, "End a session: the same as session remove"),
    "transport": Noun(TransportName, _transport, "Close the portals of a transport, and end its sessions"),
    "plugin": Noun(PluginName, _plugin, "Drain the transports and logical units that were built by a plugin"),
}
"""What can be drained, by its word on the command line."""

_FOREVER = {"session"}
"""What does not come back."""


def _drain(word: str, noun: Noun) -> None:
    arguments = create_model(f"Drained{word.title()}", __base__=(noun.arguments, Leaving), __doc__=f"``{word} drain``.")
    until = "" if word in _FOREVER else f", until {word} reopen or a restart"

    @verb(f"{word} drain", f"{noun.drain}{until}.", arguments)
    async def drain(daemon: Daemon, wanted: Any) -> dict[str, str]:
        thing = await noun.find(daemon, wanted)
        await daemon.drain(thing, wanted.deadline_s)
        return {"drained": str(thing)}


def _reopen(word: str, noun: Noun) -> None:
    @verb(f"{word} reopen", "Take users again after a drain.", noun.arguments)
    async def reopen(daemon: Daemon, wanted: Any) -> dict[str, str]:
        thing = await noun.find(daemon, wanted)
        await daemon.reopen(thing)
        return {"reopened": str(thing)}


def _holders(word: str, noun: Noun) -> None:
    @verb(f"{word} holders", "List who uses it, and for how long already.", noun.arguments, ("holder", "age_s"))
    async def holders(daemon: Daemon, wanted: Any) -> list[dict[str, Any]]:
        thing = await noun.find(daemon, wanted)
        return [holder_shown(holder) for holder in (await users_of(daemon.inventory, thing))()]


for _word, _noun in NOUNS.items():
    _drain(_word, _noun)
    if _word not in _FOREVER:
        _reopen(_word, _noun)
    _holders(_word, _noun)
