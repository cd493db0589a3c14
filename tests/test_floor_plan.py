"""Who may import whom: a room uses rooms on lower floors only, and some libraries have one importer."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "tgtcore"

FLOORS: list[set[str]] = [
    {"brief_log", "errors", "limits", "options", "packets", "sizes"},
    {"scsi", "leases", "news", "signals", "loop", "service", "ring", "named_socket", "heap", "actions"},
    {"reservations", "store", "task", "transport"},
    {"aborting", "command_filter", "device", "task_set"},
    {"logical_unit", "nexus", "target"},
    {"hookspecs", "registry"},
    {"plugins", "config"},
    {"isolation"},
    {"daemon"},
    {"management"},
    {"handover"},
    {"cli"},
]
"""Ground floor first.  The contracts have two: a device type is written in terms of tasks, stores and reservations."""

BESIDE_THE_HOUSE = {"testing"}
"""Kits for tests may use every floor, and no floor uses them."""

LIBRARIES = {
    "stevedore": {"plugins.discovery"},
    "blinker": {"signals"},
    "pluggy": {"hookspecs", "plugins.manager"},
    "click": {"cli"},
    "rich": {"cli"},
    "tomlkit": {"config.writer"},
}
"""Where a library may be imported; a room stands for all its files."""

FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/**/src/*/__init__.py"))
OPEN_TO_PLUGINS = ("tgtcore.scsi", "tgtcore.testing")
SHARED = {"tgtcore_srp"}
"""Libraries: packages that plugins share and that are no plugins themselves."""


def modules(folder: Path) -> Iterator[tuple[str, ...]]:
    """Every module under a folder as its dotted parts."""
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(folder.parent).with_suffix("").parts


def imported(folder: Path, parts: tuple[str, ...]) -> set[str]:
    """Absolute names that a module imports when it runs; those for type checkers only do not count."""
    tree = ast.parse(folder.parent.joinpath(*parts).with_suffix(".py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{'.'.join(parts)}: imports are absolute"
            assert node.module is not None
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("parts", list(modules(CORE)), ids=".".join)
def test_a_room_imports_only_from_lower_floors(parts: tuple[str, ...]) -> None:
    room = parts[1]
    if room in BESIDE_THE_HOUSE or room == "__init__":
        return
    assert room in FLOOR, f"{room} has no place in the house"
    for name in imported(CORE, parts):
        first, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if first != "tgtcore" or other == room:
            continue
        assert other in FLOOR, f"{'.'.join(parts)} imports {name}"
        assert FLOOR[other] < FLOOR[room], f"{room} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[other]})"


@pytest.mark.parametrize("parts", list(modules(CORE)), ids=".".join)
def test_libraries_are_confined(parts: tuple[str, ...]) -> None:
    module = ".".join(parts[1:])
    for name in imported(CORE, parts):
        allowed = LIBRARIES.get(name.partition(".")[0])
        if allowed is not None:
            assert module in allowed or parts[1] in allowed, f"{module} imports {name}"


def test_the_plan_names_no_room_that_is_not_there() -> None:
    rooms = {parts[1] for parts in modules(CORE)} - {"__init__"}
    assert set(FLOOR) | BESIDE_THE_HOUSE == rooms


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugins_come_in_by_the_front_door(folder: Path) -> None:
    """Only ``tgtcore`` itself, ``tgtcore.scsi`` and ``tgtcore.testing``; and no other plugin."""
    others = {other.name for other in PLUGINS} - {folder.name} - SHARED
    for parts in modules(folder):
        for name in imported(folder, parts):
            assert name.partition(".")[0] not in others, f"{'.'.join(parts)} imports {name}"
            if name.startswith("tgtcore.") and not name.startswith(OPEN_TO_PLUGINS):
                offered = name.removeprefix("tgtcore.")
                assert offered in front_door(), f"{'.'.join(parts)} imports {name}"


def front_door() -> set[str]:
    """What the front door offers."""
    import tgtcore

    return set(tgtcore.__all__) | {"signals"}
