"""Verbs on portals and sessions."""

from typing import Any

from tgtcore.daemon import Daemon
from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError
from tgtcore.management.verbs.table import STEPS, argument, missing, steps_shown, verb
from tgtcore.options import Options
from tgtcore.transport import Driver


class Portal(Options):
    """Arguments that name a portal."""

    address: str = argument("its address, such as 10.0.0.1:3260")
    transport: str = argument("its transport", "iscsi")


class NewPortal(Portal):
    """Arguments of ``portal add``."""

    group: int | None = argument("its portal group", None, ge=1, le=65535)
    advertise: str | None = argument("what initiators are told instead of the address", None)


class SomeSessions(Options):
    """Arguments of ``session list``."""

    target: str | None = argument("only the sessions with this target", None)


class OldSession(Options):
    """Arguments of ``session drop``."""

    id: str = argument("the session, as session list shows it")
    transport: str = argument("its transport", "iscsi")


@verb("portal list", "List the open portals.", columns=("transport", "address", "group", "advertised", "connections"))
async def list_portals(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each portal."""
    return [
        {
            "transport": name,
            "address": portal.address,
            "group": portal.group,
            "advertised": portal.advertised,
            "connections": portal.connections,
        }
        for name, transport in daemon.inventory.transports.items()
        for portal in await transport.portals()
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


@verb("portal remove", "Close a portal; the sessions that came through it go on.", Portal, STEPS)
async def remove_portal(daemon: Daemon, old: Portal) -> list[dict[str, str]]:
    """Listen on one address less."""
    actual = [portal.address for portal in await _transport(daemon, old.transport).portals()]

    def edit(document: dict[str, Any]) -> None:
        current = _portals(daemon, old.transport)
        kept = [
            portal
            for portal, open_at in zip(current, actual, strict=True)
            if old.address not in (portal["address"], open_at)
        ]
        if len(kept) == len(current):
            raise missing("portal", old.address, actual)
        _replace(document, old.transport, kept)

    return steps_shown(await daemon.edit(edit))


@verb(
    "session list", "List the sessions.", SomeSessions, ("transport", "id", "target", "initiator", "address", "tasks")
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
            "tasks": session.tasks,
            "details": dict(session.details),
        }
        for name, transport in daemon.inventory.transports.items()
        for session in await transport.sessions()
        if wanted.target in (None, session.target)
    ]


@verb("session drop", "End a session; the initiator may log in again.", OldSession)
async def drop_session(daemon: Daemon, old: OldSession) -> dict[str, Any]:
    """End one session."""
    transport = _transport(daemon, old.transport)
    if not await daemon.drop_session(old.transport, old.id):
        raise missing("session", old.id, [session.id for session in await transport.sessions()])
    return {"dropped": old.id}


def _transport(daemon: Daemon, name: str) -> Driver:
    transport = daemon.inventory.transports.get(name)
    if transport is None:
        raise missing("transport", name, daemon.inventory.transports)
    return transport


def _portals(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    """The portals of a transport as its configuration has them, defaults included."""
    options = _transport(daemon, name).options
    portals = getattr(options, "portals", None)
    if portals is None:
        raise VerbError(Code.CONFIG, f"transport {name} has no portals that can be added or removed")
    return [
        dict(one)
        if isinstance(one, dict)
        else {"address": one.address, **one.model_dump(mode="json", exclude_defaults=True)}
        for one in portals
    ]


def _replace(document: dict[str, Any], name: str, portals: list[dict[str, Any]]) -> None:
    document.setdefault("transports", {}).setdefault(name, {})["portals"] = portals
