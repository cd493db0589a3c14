"""Verbs on the daemon as a whole: what it serves, how it is, and its configuration."""

import asyncio
import os
from collections.abc import Mapping
from difflib import unified_diff
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tgtcore.config import Config, parse, to_toml
from tgtcore.daemon import Daemon
from tgtcore.daemon.inventory import Unit
from tgtcore.loop import Turn, in_turns
from tgtcore.management.filter_rows import filter_figures
from tgtcore.management.progress import departure_shown
from tgtcore.management.verbs.table import STEPS, VERBS, Verb, argument, run, steps_shown, verb
from tgtcore.options import Options
from tgtcore.registry import AdminCommand


class NewConfig(Options):
    """Arguments of ``apply``."""

    text: str = argument("the configuration, as TOML")
    name: str = argument("the file's name, for messages", "")
    folder: str = argument("the folder that relative paths count from", "/")
    dry_run: bool = argument("only show what would change", False)


class Detail(Options):
    """Arguments of ``show``."""

    detail: bool = argument("everything that plugins tell", False)


@verb("show", "Show what is served.", Detail)
async def show(daemon: Daemon, wanted: Detail) -> dict[str, Any]:
    """Targets, logical units, portals and sessions in one answer, and what is going away."""
    found = {}
    turn = Turn()
    for table, name in (
        ("targets", "target list"),
        ("luns", "lun list"),
        ("logical_units", "lu list"),
        ("portals", "portal list"),
        ("sessions", "session list"),
    ):
        found[table] = await run(daemon, name, {})
        await turn.over()
    going = [departure_shown(departure) for departure in daemon.departures]
    return {"daemon": _daemon(daemon), **found, "going_away": going, **daemon.plugins.status(detail=wanted.detail)}


@verb("stat", "Show figures: uptime, transports, logical units, and what is in use.")
async def stat(daemon: Daemon, _: Options) -> dict[str, Any]:
    """Counters, and every lease that a task or a session holds."""
    inventory = daemon.inventory
    return {
        "daemon": _daemon(daemon),
        "transports": {name: await transport.statistics() for name, transport in inventory.transports.items()},
        "logical_units": dict(await in_turns((name, _figures(unit)) for name, unit in list(inventory.units.items()))),
        "leases": [
            {"what": what, "holder": holder.name, "age_s": round(holder.age_s, 3)}
            for what, holder in inventory.holders()
        ],
    }


@verb("verbs", "List the verbs, those of plugins included.", columns=("verb", "help"))
async def list_verbs(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each verb."""
    every: dict[str, Verb | AdminCommand] = {**VERBS, **daemon.plugins.admin.found()}
    return [
        {"verb": name, "help": one.help, "arguments": one.arguments.model_json_schema()}
        for name, one in sorted(every.items())
    ]


@verb("apply", "Serve what a configuration says, changing only what differs.", NewConfig, STEPS)
async def apply(daemon: Daemon, new: NewConfig) -> list[dict[str, str]]:
    """Compare a configuration with the one in force and carry out the differences."""
    source = await asyncio.to_thread(parse, new.text.encode(), Path(new.folder), new.name)
    return steps_shown(await daemon.apply(source, dry_run=new.dry_run))


@verb("diff", "Show how a configuration differs from the one in force, line by line.", NewConfig)
async def diff(daemon: Daemon, new: NewConfig) -> str:
    """A unified diff of the two as TOML, in the same order and with the same paths; empty when they agree."""
    source = await asyncio.to_thread(parse, new.text.encode(), Path(new.folder), new.name)
    return await asyncio.to_thread(_differences, daemon.config, await daemon.check(source), new.name or "new")


def _differences(current: Config, wanted: Config, name: str) -> str:
    old, fresh = (to_toml(_in_order(one.document)).splitlines() for one in (current, wanted))
    return "\n".join(unified_diff(old, fresh, "in force", name, lineterm=""))


def _in_order(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _in_order(value) if isinstance(value, Mapping) else value for key, value in sorted(document.items())}


@verb("save", "Show the configuration in force as TOML.")
async def save(daemon: Daemon, _: Options) -> str:
    """The configuration in force; the client writes it where its user wants."""
    return await asyncio.to_thread(to_toml, daemon.config.document)


def _daemon(daemon: Daemon) -> dict[str, Any]:
    return {
        "version": version("tgtcore"),
        "pid": os.getpid(),
        "uptime_s": round(daemon.inventory.loop.time() - daemon.started_at, 1),
        "state": "stopping" if daemon.stopping else "serving",
        "plugins": daemon.plugins.names,
    }


def _figures(unit: Unit) -> dict[str, Any]:
    lu, filters = unit.lu, filter_figures(unit)
    own = {"accepted": lu.accepted, "ended": lu.ended, "tasks": len(lu.leases), **lu.device.statistics()}
    return {**own, "filters": filters} if filters else own
