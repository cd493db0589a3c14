"""Checking the filters of a logical unit."""

from pathlib import Path
from typing import Any

from tgtcore.config.models import FilterConfig, FilterKeys
from tgtcore.config.paths import absolute
from tgtcore.config.positions import Place
from tgtcore.config.problems import Problems, expected
from tgtcore.registry import Registry
from tgtcore.store import Filter

_CORE_KEYS = frozenset(FilterKeys.model_fields)


def check_filters(
    place: Place, tables: Any, registry: Registry, problems: Problems, base: Path, *, on_store: bool
) -> tuple[tuple[FilterConfig, ...], Any]:
    """Check the key ``filters`` of a logical unit: those without problems, and the list with absolute paths.

    :param tables: what the key has; that it is a list of so many tables is checked with the others of the logical unit.
    :param on_store: whether the logical unit has a store.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return (), tables
    found: dict[str, FilterConfig] = {}
    document = []
    for number, table in enumerate(tables):
        here = (*place, number)
        made, shown = check_filter(here, table, registry, problems, base, on_store=on_store)
        document.append(shown)
        if made is None:
            continue
        if made.name in found:
            where = "type" if "name" not in table else "name"
            problems.add(
                (*here, where),
                f'another filter of this logical unit is called "{made.name}" already; give this one a name of its own: '
                f'name = "{_free(made.name, found)}"',
            )
        found.setdefault(made.name, made)
    return tuple(found.values()), document


def check_filter(
    place: Place, table: dict[str, Any], registry: Registry, problems: Problems, base: Path, *, on_store: bool
) -> tuple[FilterConfig | None, dict[str, Any]]:
    """Check one filter: the result, or None, and the table with absolute paths."""
    keys: FilterKeys | None = problems.check(
        place, FilterKeys, {key: value for key, value in table.items() if key in _CORE_KEYS}
    )
    if keys is None:
        return None, table
    cls = registry.filter_class(keys.type)
    if cls is None:
        _no_filter((*place, "type"), keys.type, registry, problems)
        return None, table
    document = absolute(cls.Options, table, base)
    if "base" in document and "base" not in cls.Options.model_fields:
        problems.add((*place, "base"), f"a filter here stands on the store of its logical unit; {_AS_STORE}")
        return None, document
    if issubclass(cls, Filter) and not on_store:
        problems.add(place, f"{keys.type} is a filter on storage calls, and this logical unit has no store")
    options = problems.check(place, cls.Options, {key: document[key] for key in document if key not in _CORE_KEYS})
    if options is None:
        return None, document
    return FilterConfig(keys.name or keys.type, keys.type, options), document


_AS_STORE = 'one with a "base" belongs in the key "store"'


def _no_filter(place: Place, name: str, registry: Registry, problems: Problems) -> None:
    kind = next((offers.kind for offers in (registry.stores, registry.formats) if name in offers), None)
    if kind is None:
        problems.unknown(place, "filter", name, registry.filter_names())
    else:
        problems.add(place, f'{name} is a {kind}: it belongs in the key "store"{expected(registry.filter_names())}')


def _free(name: str, taken: dict[str, FilterConfig]) -> str:
    return next(free for number in range(2, len(taken) + 3) if (free := f"{name}-{number}") not in taken)
