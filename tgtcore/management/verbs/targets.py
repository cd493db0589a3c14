"""Verbs on targets and on who may log in to them."""

from pathlib import Path
from typing import Any

from tgtcore.daemon import Daemon, Kind, Thing
from tgtcore.errors import ConfigError
from tgtcore.management.edits import assign, entry, new_entry, remove_entry
from tgtcore.management.verbs.leaving import IfExists, Leaving, removal
from tgtcore.management.verbs.table import STEPS, argument, missing, steps_shown, verb
from tgtcore.options import Options
from tgtcore.target import Target


class TargetName(Options):
    """Arguments that name a target."""

    target: str = argument("the target")


class NewTarget(TargetName):
    """Arguments of ``target add``."""

    keys: tuple[str, ...] = argument("configuration keys, such as alias=backup auth='[\"alice\"]'", (), positional=True)
    transport: str = argument("its transport", "iscsi")
    allow: tuple[str, ...] = argument("patterns of initiators that may log in", ())
    cwd: str = argument("the folder that relative paths count from", "/")


class OldTarget(TargetName, Leaving, IfExists):
    """Arguments of ``target remove``."""


class Access(TargetName):
    """Arguments of ``access set``."""

    initiator: tuple[str, ...] = argument("a pattern of initiator names that may log in", ())
    address: tuple[str, ...] = argument("a network or address from which one may log in", ())


@verb("target list", "List the targets.", columns=("tid", "name", "transport", "alias", "luns", "sessions", "state"))
async def list_targets(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each target."""
    return [_row(daemon, target) for target in daemon.inventory.targets.values()]


@verb("target show", "Show everything about a target.", TargetName)
async def show_target(daemon: Daemon, wanted: TargetName) -> dict[str, Any]:
    """The row of one target, with its options, LUNs, access list and addresses."""
    target = target_called(daemon, wanted.target)
    transport = daemon.inventory.transports[target.transport]
    return {
        **_row(daemon, target),
        "options": target.options.model_dump(mode="json"),
        "allow": _access(target),
        "ports": [{"name": port.name, "group": port.group} for port in transport.target_ports(target)],
        "lun_maps": [
            {"initiators": list(one.initiators), "luns": {str(lun): lu.name for lun, lu in one.mapped().items()}}
            for one in target.maps()
        ],
        "urls": [url for urls in (await transport.urls(target)).values() for url in urls],
    }


@verb("target add", "Make a target; its keys are those of the configuration.", NewTarget, STEPS)
async def add_target(daemon: Daemon, new: NewTarget) -> list[dict[str, str]]:
    """Make a target; nobody may log in until it is allowed."""
    values = {"transport": new.transport, **assign(new.keys)}
    if new.allow:
        keys = values.setdefault("allow", {})
        if not isinstance(keys, dict):
            raise ConfigError("allow: expected keys such as allow.addresses=10.0.0.0/8 beside --allow")
        keys["initiators"] = list(new.allow)
    steps = await daemon.edit(lambda document: new_entry(document, "targets", new.target, values), Path(new.cwd))
    return steps_shown(steps)


@removal("target remove", "Remove a target: nobody logs in any more, its sessions end.", OldTarget)
async def remove_target(daemon: Daemon, old: OldTarget) -> list[dict[str, str]]:
    """Remove a target; its logical units stay."""
    target_called(daemon, old.target)
    thing = Thing(Kind.TARGET, old.target)
    steps = await daemon.remove(thing, lambda document: remove_entry(document, "targets", old.target), old.deadline_s)
    return steps_shown(steps)


@verb("access show", "Show who may log in to a target.", TargetName)
async def show_access(daemon: Daemon, wanted: TargetName) -> dict[str, Any]:
    """The access list of a target."""
    return _access(target_called(daemon, wanted.target))


@verb("access set", "Say who may log in to a target; others are logged out.", Access, STEPS)
async def set_access(daemon: Daemon, new: Access) -> list[dict[str, str]]:
    """Replace the access list of a target; without any pattern and address nobody may log in."""
    target_called(daemon, new.target)
    allow = {"initiators": list(new.initiator), "addresses": list(new.address)}

    def edit(document: dict[str, Any]) -> None:
        entry(document, "targets", new.target)["allow"] = allow

    return steps_shown(await daemon.edit(edit))


def target_called(daemon: Daemon, name: str) -> Target:
    """A target by its name.

    :raises VerbError: there is none.
    """
    target = daemon.inventory.targets.get(name)
    if target is None:
        raise missing("target", name, daemon.inventory.targets)
    return target


def _access(target: Target) -> dict[str, Any]:
    return {
        "initiators": list(target.access.initiators),
        "addresses": [str(network) for network in target.access.addresses],
    }


def _row(daemon: Daemon, target: Target) -> dict[str, Any]:
    return {
        "tid": target.tid,
        "name": target.name,
        "transport": target.transport,
        "alias": target.alias,
        "luns": len(target.luns),
        "sessions": len(target.nexuses),
        "state": daemon.state_of(Thing(Kind.TARGET, target.name)) or "online",
    }
