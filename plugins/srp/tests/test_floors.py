"""Who may import whom inside the library: a module uses modules on lower floors only."""

import ast
from pathlib import Path

import pytest
import tgtcore_srp

FOLDER = Path(tgtcore_srp.__file__).parent
NAME = "tgtcore_srp"

FLOORS: list[set[str]] = [
    {"errors", "limits", "states", "fabric", "memory", "quirks", "identity"},
    {"iu"},
    {"slots", "credits", "answers", "task", "initiator"},
    {"requests", "transfers", "session"},
    {"tables", "login"},
    {"commands"},
    {"task_management"},
    {"channel"},
    {"port"},
]
"""Ground floor first; a folder is one room."""

FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
NO_IO = {"asyncio", "socket", "select", "selectors", "threading", "time", "os"}
MODULES = sorted(path for path in FOLDER.rglob("*.py") if path != FOLDER / "__init__.py")


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
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_module_uses_lower_floors_only(path: Path) -> None:
    room = _room(path)
    for name in _imported(path):
        first, _, rest = name.partition(".")
        assert first not in NO_IO, f"{room} imports {name}"
        other = rest.partition(".")[0]
        if first == NAME and other != room:
            assert FLOOR[other] < FLOOR[room], f"{room} imports {name}"


def test_the_plan_has_every_module() -> None:
    assert set(FLOOR) == {_room(path) for path in MODULES}
