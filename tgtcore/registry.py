"""The registry: which class stands behind each name that users write in a configuration.

Plugins fill it through the ``tgt_register_...`` hooks; the configuration and the daemon read it.
"""

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from tgtcore.command_filter import CommandFilter
from tgtcore.device import DeviceType
from tgtcore.errors import PluginError
from tgtcore.options import NoOptions
from tgtcore.store import Filter, Format, Store
from tgtcore.transport import Transport

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_T = TypeVar("_T")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint to append to a message about an unknown name: the most similar known one, or nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f'; did you mean "{close[0]}"?' if close else ""


class Owner(NamedTuple):
    """Who offers something.

    :param plugin: its name.
    :param distribution: with the version, as messages show it.
    """

    plugin: str
    distribution: str

    def __str__(self) -> str:
        return self.distribution


_CORE = Owner("", "tgtcore")


class Offers(Generic[_T]):
    """What plugins offer of one kind, by name.

    :param kind: the kind in words, such as ``store``.
    :param base: what every offered class derives from.
    """

    def __init__(self, kind: str, base: type[_T]) -> None:
        self.kind = kind
        self._base = base
        self._found: dict[str, tuple[type[_T], Owner]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._found))

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def get(self, name: str) -> type[_T] | None:
        """The class behind a name, or None."""
        found = self._found.get(name)
        return found[0] if found else None

    def owner(self, name: str) -> Owner:
        """The plugin that offers a name."""
        return self._found[name][1]

    def by_plugin(self, plugin: str) -> list[str]:
        """The names that one plugin offers."""
        return [name for name in self if self._found[name][1].plugin == plugin]

    def take(self, others: "Offers[_T]", plugin: str) -> None:
        """Offer what one plugin offers elsewhere.

        :raises PluginError: see :meth:`add`.
        """
        for name in others.by_plugin(plugin):
            self.add(name, *others._found[name])

    def add(self, name: str, offered: type[_T], owner: Owner) -> None:
        """Offer a class.

        :raises PluginError: the name is taken or malformed, or the class is not of this kind.
        """
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"{owner} offers a {self.kind} called {name!r}; expected 1 to 32 lower case letters, digits, _ or -, a letter first"
            )
        if name in self._found:
            raise PluginError(
                f'{self.owner(name)} and {owner} both offer a {self.kind} called "{name}"; enable one of them'
            )
        if not (isinstance(offered, type) and issubclass(offered, self._base)):
            raise PluginError(
                f'{owner} offers {offered!r} as {self.kind} "{name}"; expected a subclass of {self._base.__name__}'
            )
        self._found[name] = (offered, owner)


class _Owned:
    """Something that plugins fill one after the other, and that remembers who is filling it."""

    def __init__(self) -> None:
        self._owner = _CORE

    @contextmanager
    def owned_by(self, owner: Owner) -> Iterator[None]:
        """While a plugin registers: who it is."""
        self._owner = owner
        try:
            yield
        finally:
            self._owner = _CORE


class Registry(_Owned):
    """All names that a configuration may use."""

    def __init__(self) -> None:
        super().__init__()
        self.transports: Offers[Transport] = Offers("transport", Transport)  # type: ignore[type-abstract]
        self.device_types: Offers[DeviceType] = Offers("device type", DeviceType)
        self.stores: Offers[Store] = Offers("store", Store)  # type: ignore[type-abstract]
        self.formats: Offers[Format] = Offers("format", Format)  # type: ignore[type-abstract]
        self.filters: Offers[Filter] = Offers("filter", Filter)  # type: ignore[type-abstract]
        self.command_filters: Offers[CommandFilter] = Offers("filter on commands", CommandFilter)

    def transport(self, name: str, cls: type[Transport]) -> None:
        """Offer a transport: ``[transports.<name>]``, ``transport = "<name>"``."""
        self.transports.add(name, cls, self._owner)

    def device_type(self, name: str, cls: type[DeviceType]) -> None:
        """Offer a device type: ``device_type = "<name>"``."""
        self.device_types.add(name, cls, self._owner)

    def store(self, name: str, cls: type[Store]) -> None:
        """Offer a store: ``store = { type = "<name>" }``."""
        self._add_medium(self.stores, name, cls)

    def format(self, name: str, cls: type[Format]) -> None:
        """Offer an image format: ``store = { type = "<name>", base = { ... } }``."""
        self._add_medium(self.formats, name, cls)

    def filter(self, name: str, cls: type[Filter] | type[CommandFilter]) -> None:
        """Offer a filter: ``filters = [{ type = "<name>" }]``; one on storage calls may also be a ``store``, with a ``base``."""
        on_commands = isinstance(cls, type) and issubclass(cls, CommandFilter) and not issubclass(cls, Filter)
        self._add_medium(self.command_filters if on_commands else self.filters, name, cls)

    def media(self) -> tuple[Offers[Any], ...]:
        """Stores, formats and filters: users write all three as the ``type`` of a store, so they share their names."""
        return self.stores, self.formats, self.filters

    def medium_names(self) -> list[str]:
        """Every name that ``store.type`` may have."""
        return sorted(name for offers in self.media() for name in offers)

    def filter_offers(self) -> tuple[Offers[Any], ...]:
        """Filters on storage calls, and those on commands."""
        return self.filters, self.command_filters

    def filter_names(self) -> list[str]:
        """Every name that the ``type`` of one of a logical unit's ``filters`` may have."""
        return sorted(name for offers in self.filter_offers() for name in offers)

    def filter_class(self, name: str) -> type[Filter] | type[CommandFilter] | None:
        """The filter behind a name, on whatever it is; None: there is none."""
        return self.filters.get(name) or self.command_filters.get(name)

    def kinds(self) -> tuple[Offers[Any], ...]:
        """Everything that there is, by kind."""
        return self.transports, self.device_types, *self.media(), self.command_filters

    def offered_by(self, plugin: str) -> dict[str, list[str]]:
        """Kind → names that one plugin offers; kinds without names are left out."""
        return {offers.kind: names for offers in self.kinds() if (names := offers.by_plugin(plugin))}

    def take(self, other: "Registry", plugin: str) -> None:
        """Offer what one plugin offers in another registry.

        :raises PluginError: a name is taken.
        """
        for mine, theirs in zip(self.kinds(), other.kinds(), strict=True):
            mine.take(theirs, plugin)

    def _add_medium(self, offers: Offers[Any], name: str, cls: type[Any]) -> None:
        for others in (*self.media(), self.command_filters):
            if others is not offers and name in others:
                raise PluginError(
                    f'{others.owner(name)} offers a {others.kind} called "{name}" and {self._owner} a {offers.kind} '
                    "of the same name; enable one of them"
                )
        offers.add(name, cls, self._owner)


class OptionsRegistry(_Owned):
    """Configuration keys that plugins bring for themselves, in ``[plugin.<name>]``."""

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[str, tuple[type[BaseModel], Callable[[Any], None] | None]] = {}

    def add(self, model: type[BaseModel], use: Callable[[Any], None] | None = None) -> None:
        """Declare the keys of the calling plugin.

        :param model: checks the table and fills in defaults.
        :param use: called with the checked options at the start and whenever they change.
        :raises PluginError: the plugin has declared keys already.
        """
        plugin = self._owner.plugin
        if plugin in self._models:
            raise PluginError(f'{self._owner} declares the options of plugin "{plugin}" twice')
        self._models[plugin] = (model, use)

    def take(self, other: "OptionsRegistry", plugin: str) -> None:
        """Have the keys that one plugin has declared elsewhere."""
        if plugin in other._models:
            self._models[plugin] = other._models[plugin]

    def model(self, plugin: str) -> type[BaseModel]:
        """The model of a plugin's table; one without keys if it has declared none."""
        found = self._models.get(plugin)
        return found[0] if found else NoOptions

    def use(self, plugin: str, options: BaseModel) -> None:
        """Hand a plugin its checked options."""
        found = self._models.get(plugin)
        if found and found[1]:
            found[1](options)


Edit = Callable[[Callable[[dict[str, Any]], None]], Awaitable[list[dict[str, str]]]]
"""Changes the configuration in force: its argument changes the document, which is a copy; what was done comes back, for show.

A ConfigError is raised when the result can't be served; then nothing has changed."""


@dataclass(frozen=True)
class AdminCommand:
    """One management verb of a plugin.

    :param verb: its words, such as ``xen attach``.
    :param handler: called with an instance of ``arguments`` on the loop's thread; what it returns is shown (JSON types).
    :param arguments: the verb's arguments.
    :param transport: the name of a transport whose :class:`~tgtcore.transport.Driver` the handler gets too; empty: it gets none.
    :param edits: whether the handler gets an :data:`Edit` too, as its last argument.
    """

    verb: str
    handler: Callable[..., Any]
    help: str
    arguments: type[BaseModel]
    owner: Owner
    transport: str = ""
    edits: bool = False


class AdminCommands(_Owned):
    """Verbs that plugins add to ``tgtadm``."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, AdminCommand] = {}

    def add(
        self,
        verb: str,
        handler: Callable[..., Any],
        *,
        help: str,
        arguments: type[BaseModel] = NoOptions,
        transport: str = "",
        edits: bool = False,
    ) -> None:
        """Offer a verb.

        :param transport: see :class:`AdminCommand`: for what a transport has to say, wherever it runs.
        :param edits: see :class:`AdminCommand`: for what changes the configuration in force.
        :raises PluginError: the verb is taken or malformed.
        """
        words = verb.split()
        if not 2 <= len(words) <= 3 or not all(_NAME.fullmatch(word) for word in words):
            raise PluginError(f'{self._owner} offers the verb "{verb}"; expected two or three lower case words')
        verb = " ".join(words)
        if verb in self._found:
            raise PluginError(f'{self._found[verb].owner} and {self._owner} both offer the verb "{verb}"')
        self._found[verb] = AdminCommand(verb, handler, help, arguments, self._owner, transport, edits)

    def take(self, other: "AdminCommands", plugin: str) -> None:
        """Offer the verbs that one plugin offers elsewhere.

        :raises PluginError: a verb is taken.
        """
        for found in other._found.values():
            if found.owner.plugin == plugin:
                with self.owned_by(found.owner):
                    self.add(
                        found.verb,
                        found.handler,
                        help=found.help,
                        arguments=found.arguments,
                        transport=found.transport,
                        edits=found.edits,
                    )

    def found(self) -> Mapping[str, AdminCommand]:
        """Every verb that plugins brought."""
        return self._found
