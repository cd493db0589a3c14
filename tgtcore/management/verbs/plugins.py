"""Verbs on plugins."""

from typing import Any

from tgtcore.daemon import Daemon, Kind, Thing
from tgtcore.errors import ConfigError
from tgtcore.management.edits import assign, remove_plugin
from tgtcore.management.verbs.leaving import Leaving
from tgtcore.management.verbs.table import STEPS, argument, missing, steps_shown, verb
from tgtcore.options import Options


class PluginName(Options):
    """Arguments that name a plugin."""

    name: str = argument("the plugin")


class NewPlugin(PluginName):
    """Arguments of ``plugin load``."""

    keys: tuple[str, ...] = argument("configuration keys of the plugin itself", (), positional=True)
    dry_run: bool = argument("only show what would be done", False)


class OldPlugin(PluginName, Leaving):
    """Arguments of ``plugin unload``."""

    dry_run: bool = argument("only show what would be removed", False)


class UpgradedPlugin(PluginName):
    """Arguments of ``plugin reload``."""

    deadline: float | None = argument(
        "how many seconds commands that run may take to end; by default daemon.drain_s", None, ge=0, le=3600
    )


@verb(
    "plugin list",
    "List the enabled plugins.",
    columns=("name", "distribution", "version", "offers", "hooks", "used_by"),
)
async def list_plugins(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each plugin."""
    return [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "offers": record.offers,
            "hooks": record.hooks,
            "used_by": [holder.name for holder in record.leases.holders()],
        }
        for record in daemon.plugins.records
    ]


@verb("plugin load", "Load an installed plugin, which the configuration may use from then on.", NewPlugin, STEPS)
async def load_plugin(daemon: Daemon, new: NewPlugin) -> list[dict[str, str]]:
    """Add a plugin to the configuration in force."""
    keys = assign(new.keys)

    def edit(document: dict[str, Any]) -> None:
        names = list(document["plugins"])
        if new.name in names:
            raise ConfigError(f'plugin "{new.name}" is loaded already; to have new code of it: plugin reload')
        document["plugins"] = [*names, new.name]
        if keys:
            document.setdefault("plugin", {})[new.name] = keys

    return steps_shown(await daemon.edit(edit, dry_run=new.dry_run))


@verb("plugin unload", "Remove a plugin, and before it everything that uses it.", OldPlugin, STEPS)
async def unload_plugin(daemon: Daemon, old: OldPlugin) -> list[dict[str, str]]:
    """Remove a plugin from the configuration in force, with its targets, LUNs, logical units and transports."""
    _find(daemon, old.name)

    def edit(document: dict[str, Any]) -> None:
        remove_plugin(document, old.name, daemon.plugins.registry)

    if old.dry_run:
        return steps_shown(await daemon.edit(edit, dry_run=True))
    return steps_shown(await daemon.remove(Thing(Kind.PLUGIN, old.name), edit, old.deadline_s))


@verb(
    "plugin reload",
    "Replace a plugin by its installed version; its initiators see only a delay.",
    UpgradedPlugin,
    STEPS,
)
async def reload_plugin(daemon: Daemon, new: UpgradedPlugin) -> list[dict[str, str]]:
    """Take the code that is installed now into use."""
    _find(daemon, new.name)
    return steps_shown(await daemon.reload_plugin(new.name, new.deadline))


def _find(daemon: Daemon, name: str) -> None:
    if daemon.plugins.find(name) is None:
        raise missing("enabled plugin", name, daemon.plugins.names)
