"""The registry: which class stands behind each name that users write in a configuration.

Plugins fill it through the ``tgt_register_...`` hooks; the configuration and the daemon read it.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

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


class Offers(Generic[_T]):
    """What plugins offer of one kind, by name.

    :param kind: the kind in words, such as ``store``.
    :param base: what every offered class derives from.
    """

    def __init__(self, kind: str, base: type[_T]) -> None:
        self.kind = kind
        self._base = base
        self._found: dict[str, tuple[type[_T], str]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._found))

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def get(self, name: str) -> type[_T] | None:
        """The class behind a name, or None."""
        found = self._found.get(name)
        return found[0] if found else None

    def owner(self, name: str) -> str:
        """Distribution and version of the plugin that offers a name."""
        return self._found[name][1]

    def by_owner(self, owner: str) -> list[str]:
        """The names that one plugin offers."""
        return [name for name in self if self._found[name][1] == owner]

    def add(self, name: str, offered: type[_T], owner: str) -> None:
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
        self._owner = "tgtcore"

    @contextmanager
    def owned_by(self, owner: str) -> Iterator[None]:
        """While a plugin registers: its distribution and version, for messages."""
        self._owner = owner
        try:
            yield
        finally:
            self._owner = "tgtcore"


class Registry(_Owned):
    """All names that a configuration may use."""

    def __init__(self) -> None:
        super().__init__()
        self.transports: Offers[Transport] = Offers("transport", Transport)  # type: ignore[type-abstract]
        self.device_types: Offers[DeviceType] = Offers("device type", DeviceType)
        self.stores: Offers[Store] = Offers("store", Store)  # type: ignore[type-abstract]
        self.formats: Offers[Format] = Offers("format", Format)  # type: ignore[type-abstract]
        self.filters: Offers[Filter] = Offers("filter", Filter)  # type: ignore[type-abstract]

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

    def filter(self, name: str, cls: type[Filter]) -> None:
        """Offer a filter: ``store = { type = "<name>", base = { ... } }``."""
        self._add_medium(self.filters, name, cls)

    def media(self) -> tuple[Offers[Any], ...]:
        """Stores, formats and filters: users write all three as the ``type`` of a store, so they share their names."""
        return self.stores, self.formats, self.filters

    def medium_names(self) -> list[str]:
        """Every name that ``store.type`` may have."""
        return sorted(name for offers in self.media() for name in offers)

    def offered_by(self, owner: str) -> dict[str, list[str]]:
        """Kind → names that one plugin offers; kinds without names are left out."""
        every: tuple[Offers[Any], ...] = (self.transports, self.device_types, *self.media())
        return {offers.kind: names for offers in every if (names := offers.by_owner(owner))}

    def _add_medium(self, offers: Offers[Any], name: str, cls: type[Any]) -> None:
        for others in self.media():
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
        self._plugin = ""

    @contextmanager
    def for_plugin(self, plugin: str, owner: str) -> Iterator[None]:
        """While one plugin declares its keys: its name and its distribution."""
        self._plugin = plugin
        with self.owned_by(owner):
            yield

    def add(self, model: type[BaseModel], use: Callable[[Any], None] | None = None) -> None:
        """Declare the keys of the calling plugin.

        :param model: checks the table and fills in defaults.
        :param use: called with the checked options at the start and whenever they change.
        :raises PluginError: the plugin has declared keys already.
        """
        if self._plugin in self._models:
            raise PluginError(f'{self._owner} declares the options of plugin "{self._plugin}" twice')
        self._models[self._plugin] = (model, use)

    def model(self, plugin: str) -> type[BaseModel]:
        """The model of a plugin's table; one without keys if it has declared none."""
        found = self._models.get(plugin)
        return found[0] if found else NoOptions

    def use(self, plugin: str, options: BaseModel) -> None:
        """Hand a plugin its checked options."""
        found = self._models.get(plugin)
        if found and found[1]:
            found[1](options)


@dataclass(frozen=True)
class AdminCommand:
    """One management verb of a plugin.

    :param verb: its words, such as ``xen attach``.
    :param handler: called with an instance of ``arguments`` on the loop's thread; what it returns is shown (JSON types).
    :param arguments: the verb's arguments.
    """

    verb: str
    handler: Callable[[Any], Any]
    help: str
    arguments: type[BaseModel]
    owner: str


class AdminCommands(_Owned):
    """Verbs that plugins add to ``tgtadm``."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, AdminCommand] = {}

    def add(
        self, verb: str, handler: Callable[[Any], Any], *, help: str, arguments: type[BaseModel] = NoOptions
    ) -> None:
        """Offer a verb.

        :raises PluginError: the verb is taken or malformed.
        """
        words = verb.split()
        if not 2 <= len(words) <= 3 or not all(_NAME.fullmatch(word) for word in words):
            raise PluginError(f'{self._owner} offers the verb "{verb}"; expected two or three lower case words')
        verb = " ".join(words)
        if verb in self._found:
            raise PluginError(f'{self._found[verb].owner} and {self._owner} both offer the verb "{verb}"')
        self._found[verb] = AdminCommand(verb, handler, help, arguments, self._owner)

    def found(self) -> Mapping[str, AdminCommand]:
        """Every verb that plugins brought."""
        return self._found
