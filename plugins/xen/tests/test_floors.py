"""Who may import whom inside the plugin: a module uses modules on lower floors only, or of its own room."""

import ast
from pathlib import Path

import pytest
import tgtcore_xen

FOLDER = Path(tgtcore_xen.__file__).parent
NAME = "tgtcore_xen"

FLOORS: list[set[str]] = [
    {"vscsiif", "xenbus"},
    {"platform"},
    {"hba"},
    {"srp", "options", "guests"},
    {"frontend"},
    {"identity", "platforms", "found"},
    {"keeping"},
    {"show", "check"},
    {"verbs"},
    {"transport"},
    {"__init__"},
]
"""Ground floor first; a folder is one room."""

FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_IO = {"vscsiif", "xenbus"}
IO = {"asyncio", "socket", "select", "selectors", "time", "os"}
MODULES = sorted(FOLDER.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").parts[0]


def _imported(path: Path) -> set[str]:
    """Names of modules that are imported when it runs; those for type checkers only do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            names |= {f"{NAME}.{alias.name}" for alias in node.names} if node.module == NAME else {node.module}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_module_uses_lower_floors_only(path: Path) -> None:
    room = _room(path)
    for name in _imported(path):
        first, _, rest = name.partition(".")
        assert not (room in WITHOUT_IO and first in IO), f"{room} imports {name}"
        other = rest.partition(".")[0]
        if first == NAME and other != room:
            assert FLOOR[other] < FLOOR[room], f"{room} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_only_one_room_touches_xen(path: Path) -> None:
    """The rest would work on any machine."""
    of_hypervisor = "hypervisor" in path.relative_to(FOLDER).parts
    assert of_hypervisor or "fcntl" not in {name.partition(".")[0] for name in _imported(path)}


def test_the_plan_has_every_module() -> None:
    assert set(FLOOR) == {_room(path) for path in MODULES}
