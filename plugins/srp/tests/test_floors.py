"""The codec and the initiator stand on their own: neither knows anything of targets."""

import ast
from pathlib import Path

import pytest
import tgtcore_srp

ROOT = Path(tgtcore_srp.__file__).parent
MAY_USE = {"fabric.py": set[str](), "iu": {"iu", "fabric"}, "initiator": {"initiator", "iu", "fabric"}}
"""What of the package a file or folder may import."""
FILES = [
    (room, path) for room in MAY_USE for path in sorted([ROOT / room, *(ROOT / room).glob("*.py")]) if path.is_file()
]


def imported(path: Path) -> set[str]:
    """What a module imports when it runs."""
    tree = ast.parse(path.read_text())
    kept = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))]
    names = set()
    for node in (inner for outer in kept for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize(("room", "path"), FILES, ids=lambda given: given if isinstance(given, str) else given.stem)
def test_imports(room: str, path: Path) -> None:
    for name in imported(path):
        package, _, rest = name.partition(".")
        assert package != "tgtcore", "nothing of the core is needed"
        if package == "tgtcore_srp":
            assert rest.partition(".")[0] in MAY_USE[room]
