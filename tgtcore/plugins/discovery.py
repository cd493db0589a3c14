"""Finding and importing plugins by the names that a configuration gives (the only importer of stevedore).

stevedore keeps a cache of entry points on disk that can be two minutes behind, forgets which distribution an entry belongs to,
and only logs what goes wrong.  So the entry points are read here, handed to it, and every error is raised.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any, NoReturn

from tgtcore import signals
from tgtcore.errors import PluginError
from tgtcore.hookspecs import API_VERSION
from tgtcore.leases import Leases
from tgtcore.plugins.modules import Modules, stop_new_listeners
from tgtcore.plugins.path_files import PathFiles
from tgtcore.registry import Owner, nearest

GROUP = "tgtcore.plugins"
API_ATTRIBUTE = "TGTCORE_API"

_path_files = PathFiles()


@dataclass(eq=False)
class Record:
    """An installed plugin, with one version of its code.

    :param name: what users write in ``plugins = [...]``.
    :param module: what the entry point names.
    """

    name: str
    distribution: str
    version: str
    module: str
    plugin: ModuleType | None = None
    """The imported module; None until the plugin is enabled."""
    offers: dict[str, list[str]] = field(default_factory=dict)
    """Kind → names, once the plugin has registered them."""
    hooks: list[str] = field(default_factory=list)
    metadata: Distribution | None = field(default=None, repr=False)
    leases: Leases = field(init=False, repr=False)
    """Everything that was built from it has one."""

    def __post_init__(self) -> None:
        self.leases = Leases(f"plugin {self.name}")

    @property
    def owner(self) -> Owner:
        """Its name, with distribution and version as messages name them."""
        return Owner(self.name, f"{self.distribution} {self.version}")

    def __str__(self) -> str:
        return f'plugin "{self.name}" ({self.owner})'


def installed() -> dict[str, list[Record]]:
    """Every installed plugin by name; nothing is imported.  More than one record under a name is a conflict."""
    found: dict[str, list[Record]] = {}
    for entry in _read():
        found.setdefault(entry.name, []).append(_record(entry))
    return dict(sorted(found.items()))


@dataclass
class Loaded:
    """Plugins that were imported.

    :param records: those that were asked for, in that order.
    :param modules: what the import has brought, to be taken out again by whoever does not want it.
    """

    records: list[Record]
    modules: Modules


def load(names: Iterable[str], present: Mapping[str, Record] | None = None) -> Loaded:
    """Import exactly the named plugins, in that order; all of them, or none.

    :param present: plugins that have been imported already, and stay as they are.
    :raises PluginError: all that are not installed or there twice; else the first one that can't be imported or was made for
        another version of the hooks.
    """
    names, present = list(names), present or {}
    entries = _read()
    known = {**installed(), **{name: [record] for name, record in present.items()}}
    problems = [problem for name in dict.fromkeys(names) for problem in _problems(name, names, known)]
    if problems:
        raise PluginError(*problems)
    records = [known[name][0] for name in names]
    added = [record for record in records if record.name not in present]
    before, heard = set(sys.modules), signals.listeners()
    try:
        modules = _import([record.name for record in added], entries, known)
        for record in added:
            record.plugin = modules[record.name]
            _check_api(record)
    except BaseException:
        modules_of(added).but(before).take_out()
        stop_new_listeners((record.module for record in added), heard)
        raise
    return Loaded(records, modules_of(added).but(before))


def load_anew(records: Iterable[Record]) -> tuple[Loaded, Modules]:
    """Import plugins once more, as they are installed now, beside the code that is in use; returns also the modules of that.

    :raises PluginError: see :func:`load`; the old modules are back in their places then.
    """
    records = list(records)
    old = modules_of(records)
    old.take_out()
    try:
        return load(record.name for record in records), old
    except BaseException:
        old.put_back()
        raise


def look_again() -> None:
    """Find also what was installed since Python has looked, editable installs included."""
    importlib.invalidate_caches()
    _path_files.read_new()


def modules_of(records: Iterable[Record]) -> Modules:
    """The modules of some plugins that are imported now."""
    return Modules.of((record.module, record.metadata) for record in records)


def _read() -> list[EntryPoint]:
    entries: dict[tuple[str, str, str], EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        record = _record(entry)
        # the same distribution twice on sys.path (an editable and a plain install) is one plugin, not a conflict
        entries.setdefault((entry.name, record.distribution, entry.value), entry)
    return list(entries.values())


def _record(entry: EntryPoint) -> Record:
    distribution = entry.dist
    if distribution is None:
        return Record(entry.name, "unknown distribution", "?", entry.value)
    return Record(entry.name, distribution.name, distribution.version, entry.value, metadata=distribution)


def _problems(name: str, names: list[str], known: dict[str, list[Record]]) -> Iterator[str]:
    records = known.get(name, [])
    if not records:
        hint = nearest(name, known) or f"; try: pip install tgtcore-{name}"
        yield f'no installed plugin is called "{name}"{hint} (installed: {", ".join(known) or "none"})'
    if len(records) > 1:
        owners = " and ".join(sorted(str(record.owner) for record in records))
        yield f'{owners} both provide a plugin called "{name}"; uninstall one of them'
    if names.count(name) > 1:
        yield f'plugin "{name}" is enabled twice; name it once'


def _import(names: list[str], entries: list[EntryPoint], known: dict[str, list[Record]]) -> dict[str, ModuleType]:
    from stevedore.extension import ExtensionManager
    from stevedore.named import NamedExtensionManager

    def broken(_: object, entry: EntryPoint, error: BaseException) -> NoReturn:
        record = known[entry.name][0]
        raise PluginError(
            f"{record} failed to import {record.module}: {type(error).__name__}: {error}; reinstall or disable it"
        ) from error

    ExtensionManager.ENTRY_POINT_CACHE[GROUP] = entries
    modules: dict[str, ModuleType] = {}
    for name in names:
        try:
            manager: Any = NamedExtensionManager(GROUP, [name], on_load_failure_callback=broken)
        except (AssertionError, SystemExit) as error:  # stevedore lets these pass
            broken(None, next(entry for entry in entries if entry.name == name), error)
        modules[name] = manager[name].plugin
    return modules


def _check_api(record: Record) -> None:
    wanted = getattr(record.plugin, API_ATTRIBUTE, API_VERSION)
    if wanted != API_VERSION:
        core = sys.modules["tgtcore"]
        place = getattr(core, "__file__", None)
        raise PluginError(
            f"{record} was made for version {wanted} of the plugin interface, this tgtcore ({place}) has version {API_VERSION}; "
            "install versions of both that fit"
        )
