"""Verbs on transports, portals and sessions."""

from typing import Any

from tgtcore.daemon import Action, Daemon, Kind, Step, Thing, session_thing
from tgtcore.daemon.portals import drained_portals, open_portal, portal_thing
from tgtcore.errors import ConfigError
from tgtcore.management.edits import remove_entry
from tgtcore.management.protocol import Code, VerbError
from tgtcore.management.verbs.leaving import IfExists, Leaving, removal
from tgtcore.management.verbs.table import STEPS, argument, missing, steps_shown, verb
from tgtcore.options import Options
from tgtcore.transport import Driver, PortalInfo


class Portal(Options):
    """Arguments that name a portal."""

    address: str = argument("its address, such as 10.0.0.1:3260")
    transport: str = argument("its transport", "iscsi")


class OldPortal(Portal, Leaving, IfExists):
    """Arguments of ``portal remove``."""

    keep_sessions: bool = argument("only close it: the sessions that came through it go on", False)


class NewPortal(Portal):
    """Arguments of ``portal add``."""

    group: int | None = argument("its portal group", None, ge=1, le=65535)
    advertise: str | None = argument("what initiators are told instead of the address", None)


class SomeSessions(Options):
    """Arguments of ``session list``."""

    target: str | None = argument("only the sessions with this target", None)


class SessionId(Options):
    """Arguments that name a session."""

    id: str = argument("the session, as session list shows it")
    transport: str = argument("its transport", "iscsi")


class OldSession(SessionId, Leaving, IfExists):
    """Arguments of ``session remove``."""


class TransportName(Options):
    """Arguments that name a transport."""

    transport: str = argument("the transport")


class OldTransport(TransportName, Leaving, IfExists):
    """Arguments of ``transport remove``."""


@verb("transport list", "List the transports.", columns=("name", "portals", "sessions", "state"))
async def list_transports(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each transport."""
    return [
        {
            "name": name,
            "portals": len(await transport.portals()),
            "sessions": len(await transport.sessions()),
            "state": daemon.state_of(Thing(Kind.TRANSPORT, name)) or "online",
        }
        for name, transport in daemon.inventory.transports.items()
    ]


@removal(
    "transport remove", "Remove a transport that serves no target: its portals close, its sessions end.", OldTransport
)
async def remove_transport(daemon: Daemon, old: OldTransport) -> list[dict[str, str]]:
    """Remove a transport; its targets must have gone before."""
    transport_called(daemon, old.transport)

    def edit(document: dict[str, Any]) -> None:
        served = [name for name, target in daemon.config.targets.items() if target.transport == old.transport]
        if served:
            raise VerbError(Code.BUSY, f"transport {old.transport} serves {', '.join(served)}; remove that first")
        remove_entry(document, "transports", old.transport)

    return steps_shown(await daemon.remove(Thing(Kind.TRANSPORT, old.transport), edit, old.deadline_s))


@verb(
    "portal list",
    "List the portals.",
    columns=("transport", "address", "group", "advertised", "connections", "state"),
)
async def list_portals(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each portal that is open or drained."""
    return [
        {
            "transport": name,
            "address": portal.address,
            "group": portal.group,
            "advertised": portal.advertised,
            "connections": portal.connections,
            "state": daemon.state_of(portal_thing(name, portal)) or "online",
        }
        for name, transport in daemon.inventory.transports.items()
        for portal in (*await transport.portals(), *await _drained(daemon, name))
    ]


@verb("portal add", "Open a portal.", NewPortal, STEPS)
async def add_portal(daemon: Daemon, new: NewPortal) -> list[dict[str, str]]:
    """Listen on one more address."""
    portal = {"address": new.address, "group": new.group, "advertise": new.advertise}
    added = {key: value for key, value in portal.items() if value is not None}

    def edit(document: dict[str, Any]) -> None:
        current = _portals(daemon, new.transport)
        if any(one["address"] == new.address for one in current):
            raise ConfigError(f"transport {new.transport}: portal {new.address} is open already")
        _replace(document, new.transport, [*current, added])

    return steps_shown(await daemon.edit(edit))


@removal("portal remove", "Close a portal; the sessions that came through it end.", OldPortal)
async def remove_portal(daemon: Daemon, old: OldPortal) -> list[dict[str, str]]:
    """Listen on one address less."""
    thing = await portal_called(daemon, old.transport, old.address)

    def edit(document: dict[str, Any]) -> None:
        current = _portals(daemon, old.transport)
        kept = [portal for portal in current if portal["address"] != thing.part]
        if len(kept) == len(current):
            raise missing("portal", old.address, [portal["address"] for portal in current])
        _replace(document, old.transport, kept)

    if old.keep_sessions:
        return steps_shown(await daemon.edit(edit))
    return steps_shown(await daemon.remove(thing, edit, old.deadline_s))


@verb(
    "session list",
    "List the sessions.",
    SomeSessions,
    ("transport", "id", "target", "initiator", "address", "portal", "tasks", "state"),
)
async def list_sessions(daemon: Daemon, wanted: SomeSessions) -> list[dict[str, Any]]:
    """One row for each session."""
    return [
        {
            "transport": name,
            "id": session.id,
            "target": session.target,
            "initiator": session.initiator,
            "address": session.address,
            "portal": session.portal,
            "tasks": session.tasks,
            "state": daemon.state_of(session_thing(name, session)) or "online",
            "details": dict(session.details),
        }
        for name, transport in daemon.inventory.transports.items()
        for session in await transport.sessions()
        if wanted.target in (None, session.target)
    ]


@removal("session remove", "Ask an initiator to log out, then end its session; it may log in again.", OldSession)
async def remove_session(daemon: Daemon, old: OldSession) -> list[dict[str, str]]:
    """End one session."""
    thing = await session_called(daemon, old.transport, old.id)
    await daemon.drain(thing, old.deadline_s)
    return steps_shown([Step(Action.REMOVE, Kind.SESSION, old.id)])


async def session_called(daemon: Daemon, transport: str, session_id: str) -> Thing:
    """A session by its id.

    :raises VerbError: there is none.
    """
    sessions = {session.id: session for session in await transport_called(daemon, transport).sessions()}
    if session_id not in sessions:
        raise missing("session", session_id, sessions)
    return session_thing(transport, sessions[session_id])


async def portal_called(daemon: Daemon, transport: str, address: str) -> Thing:
    """A portal that is open, drained, going away or only configured, by its address or the one in its configuration.

    A transport that is drained, or whose driver process is about to be started again, has no open ones.

    :raises VerbError: there is none, or none that can be treated by itself.
    """
    driver = transport_called(daemon, transport)
    configured = [one["address"] for one in _portals(daemon, transport)]
    portal = await open_portal(daemon.inventory, transport, address)
    thing = Thing(Kind.PORTAL, transport, address) if portal is None else portal_thing(transport, portal)
    if portal is None and address not in configured and not daemon.state_of(thing):
        raise missing("portal", address, {*configured, *(one.address for one in await driver.portals())})
    return thing


def transport_called(daemon: Daemon, name: str) -> Driver:
    """A transport by its name.

    :raises VerbError: there is none.
    """
    transport = daemon.inventory.transports.get(name)
    if transport is None:
        raise missing("transport", name, daemon.inventory.transports)
    return transport


def _portals(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    """The portals of a transport as its configuration has them, defaults included."""
    transport_called(daemon, name)
    portals = getattr(daemon.config.transports[name].options, "portals", None)
    if portals is None:
        raise VerbError(Code.CONFIG, f"transport {name} has no portals that can be added, removed or drained")
    return [
        dict(one)
        if isinstance(one, dict)
        else {"address": one.address, **one.model_dump(mode="json", exclude_defaults=True)}
        for one in portals
    ]


async def _drained(daemon: Daemon, transport: str) -> list[PortalInfo]:
    """The portals of a transport that are not open now, for they are drained."""
    drained = drained_portals(daemon.inventory, transport)
    if not drained:
        return []
    portals = {one["address"]: one for one in _portals(daemon, transport)}
    return [
        PortalInfo(address, portals[address].get("group", 1), portals[address].get("advertise") or "")
        for address in drained
        if address in portals and await open_portal(daemon.inventory, transport, address) is None
    ]


def _replace(document: dict[str, Any], name: str, portals: list[dict[str, Any]]) -> None:
    document.setdefault("transports", {}).setdefault(name, {})["portals"] = portals
