"""The enabled plugins as one object: a typed method for each hook."""

import inspect
import logging
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from tgtcore import hookspecs, signals
from tgtcore.errors import PluginError, TgtError
from tgtcore.hookspecs import PROJECT
from tgtcore.plugins.discovery import Record, load
from tgtcore.registry import AdminCommands, Offers, OptionsRegistry, Registry, nearest

if TYPE_CHECKING:
    from tgtcore.device import CommandTable
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import InitiatorPort
    from tgtcore.target import Target

TRACE_VARIABLE = "TGTCORE_TRACE_HOOKS"
_PREFIX = "tgt_"
_trace_log = logging.getLogger("tgtcore.hooks")

_REGISTERING = (
    "tgt_register_transports",
    "tgt_register_device_types",
    "tgt_register_stores",
    "tgt_register_formats",
    "tgt_register_filters",
)


class Plugins:
    """The enabled plugins.

    :param records: imported plugins, in the order of the configuration.
    :param before: the plugins that are enabled now, where these are to take their place; whatever is in both is not asked again
        for what it offers.
    :raises PluginError: a plugin does not fit the hooks, or two offer the same name.
    """

    def __init__(self, records: Iterable[Record] = (), before: "Plugins | None" = None) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.records = list(records)
        self.registry = Registry()
        self.options = OptionsRegistry()
        self.admin = AdminCommands()
        if os.environ.get(TRACE_VARIABLE):
            self._manager.add_hookcall_monitoring(_before, _after)
        for record in self.records:
            self._register(record)
        for record in self.records:
            if before is not None and record in before.records:
                self._take(record, before)
            else:
                self._let_it_offer(record)
                if before is None:
                    signals.emit(signals.plugin_loaded, record)

    @classmethod
    def load(cls, names: Iterable[str]) -> "Plugins":
        """Import and register plugins by name.

        :raises PluginError: see :func:`tgtcore.plugins.discovery.load`.
        """
        return cls(load(names).records)

    @property
    def names(self) -> list[str]:
        """The names of the enabled plugins, in the order of the configuration."""
        return [record.name for record in self.records]

    def find(self, name: str) -> Record | None:
        """An enabled plugin by name."""
        return next((record for record in self.records if record.name == name), None)

    def owner(self, offers: Offers[Any], name: str) -> Record:
        """The plugin that offers a name."""
        record = self.find(offers.owner(name).plugin)
        assert record is not None, f"{name} is offered by nobody"
        return record

    # ---- the hooks (each raises PluginError when an implementation fails; the message names the plugin) --------------

    def load_config(self, path: Path) -> Mapping[str, Any] | None:
        """What a plugin makes of a configuration file that is not TOML; None: no plugin knows the file."""
        found: Mapping[str, Any] | None = self._ask("tgt_load_config", path=path)
        return found

    def check_config(self, config: Any) -> list[hookspecs.Problem]:
        """What plugins find wrong with a configuration: place and sentence."""
        return [problem for problems in self._ask("tgt_check_config", config=config) for problem in problems]

    def amends_commands(self) -> bool:
        """Whether any plugin changes opcode tables."""
        return bool(self._manager.hook.tgt_amend_commands.get_hookimpls())

    def amend_commands(self, transport: str, lu: "LogicalUnit", commands: "CommandTable") -> None:
        """Let plugins change a logical unit's opcode table, as one transport exposes it."""
        self._ask("tgt_amend_commands", transport=transport, lu=lu, commands=commands)

    def vpd_pages(self, transport: str, lu: "LogicalUnit") -> dict[int, bytes]:
        """Further VPD pages of a logical unit.

        :raises PluginError: two plugins have the same page.
        """
        pages: dict[int, bytes] = {}
        for found in self._ask("tgt_vpd_pages", transport=transport, lu=lu):
            for code, page in found.items():
                if code in pages:
                    raise PluginError(f"two plugins offer VPD page {code:02X}h of {lu}; disable one of them")
                pages[code] = page
        return pages

    def authorize_login(self, target: "Target", initiator_port: "InitiatorPort", portal: str) -> list[bool]:
        """The opinions of all plugins that have one."""
        answers = self._ask("tgt_authorize_login", target=target, initiator_port=initiator_port, portal=portal)
        return [bool(answer) for answer in answers]

    def status(self, *, detail: bool) -> dict[str, Any]:
        """Figures of the plugins: section → data."""
        found: dict[str, Any] = {}
        for sections in self._ask("tgt_status", detail=detail):
            found.update(sections)
        return found

    def use_options(self, options: Mapping[str, Any]) -> None:
        """Hand each plugin its checked table of the configuration.

        :raises PluginError: a plugin does not take it.
        """
        for name, value in options.items():
            try:
                self.options.use(name, value)
            except Exception as error:
                raise PluginError(
                    f'plugin "{name}" did not take its options: {type(error).__name__}: {error}'
                ) from error

    def _ask(self, hook: str, **arguments: Any) -> Any:
        try:
            return getattr(self._manager.hook, hook)(**arguments)
        except TgtError:
            raise
        except Exception as error:
            asked = self._failed(hook, error)
            raise PluginError(f"{asked}: {hook}() failed: {type(error).__name__}: {error}") from error

    def _failed(self, hook: str, error: Exception) -> str:
        """The plugin whose implementation of a hook raised an exception: the one whose code it came through."""
        passed = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if getattr(implementation.function, "__code__", None) in passed:
                return next(str(one) for one in self.records if one.name == implementation.plugin_name)
        return "a plugin"

    # ---- registration -----------------------------------------------------------------------------------------------

    def _register(self, record: Record) -> None:
        plugin = record.plugin
        assert plugin is not None, f"{record} was not imported"
        known = {name for name in dir(hookspecs) if name.startswith(_PREFIX)}
        record.hooks = []
        for name in dir(plugin):
            found = getattr(plugin, name)
            if not name.startswith(_PREFIX) or not callable(found):
                continue
            if not hasattr(found, f"{PROJECT}_impl"):
                raise PluginError(
                    f"{record}: {name}() lacks the @hookimpl decorator, so it would never be called; add it"
                )
            if name not in known:
                raise PluginError(
                    f'{record}: there is no hook called "{name}"{nearest(name, known)}; rename or remove it'
                )
            self._check_arguments(record, name, found)
            record.hooks.append(name)
        if not record.hooks:
            raise PluginError(
                f"{record}: {record.module} has no hook, such as tgt_register_stores() with the @hookimpl decorator; "
                "its entry point must name the module that has them"
            )
        try:
            self._manager.register(plugin, name=record.name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"{record}: {error}") from error

    def _check_arguments(self, record: Record, name: str, implementation: Callable[..., Any]) -> None:
        expected = list(inspect.signature(getattr(hookspecs, name)).parameters)
        unknown = [argument for argument in inspect.signature(implementation).parameters if argument not in expected]
        if unknown:
            raise PluginError(
                f"{record}: {name}() asks for the argument {', '.join(unknown)}; expected some of ({', '.join(expected)})"
            )

    def _let_it_offer(self, record: Record) -> None:
        others = [other.plugin for other in self.records if other is not record]

        def ask(hook: str, **arguments: Any) -> None:
            try:
                self._manager.subset_hook_caller(hook, others)(**arguments)
            except TgtError:
                raise
            except Exception as error:
                raise PluginError(f"{record}: {hook}() failed: {type(error).__name__}: {error}") from error

        with self.options.owned_by(record.owner):
            ask("tgt_register_options", options=self.options)
        with self.registry.owned_by(record.owner):
            for hook in _REGISTERING:
                ask(hook, registry=self.registry)
        with self.admin.owned_by(record.owner):
            ask("tgt_register_admin", commands=self.admin)
        record.offers = self.registry.offered_by(record.name)

    def _take(self, record: Record, before: "Plugins") -> None:
        """Offer what a plugin has offered before."""
        self.options.take(before.options, record.name)
        self.registry.take(before.registry, record.name)
        self.admin.take(before.admin, record.name)


def _before(hook: str, implementations: Any, arguments: Mapping[str, Any]) -> None:
    asked = ", ".join(implementation.plugin_name for implementation in implementations) or "nobody"
    _trace_log.warning(
        "%s(%s) asks %s", hook, ", ".join(f"{name}={value!r}" for name, value in arguments.items()), asked
    )


def _after(outcome: Any, hook: str, implementations: Any, arguments: Mapping[str, Any]) -> None:
    error = outcome.exception
    _trace_log.warning("%s -> %s", hook, f"raised {error!r}" if error else repr(outcome.get_result()))
