"""Distributions of this Python as a guest's Python finds them: compiled, as an emulated processor takes long to do it."""

import importlib.metadata
import importlib.util
import py_compile
import re
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_LEFT_OUT = {"markdown-it-py", "editables"}
"""Needed by parts of others that are not used here."""

OURS = ("tgtcore", "tgtcore-cow", "tgtcore-disk", "tgtcore-file", "tgtcore-filters", "tgtcore-srp", "tgtcore-xen")
"""Installed from this tree: what the daemon in the guest has."""


def others() -> list[Distribution]:
    """What ours need, and pytest with what it needs."""
    found: dict[str, Distribution] = {}
    seen = set(_LEFT_OUT)
    wanted = [*OURS, "pytest"]
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for other systems
        if name not in OURS:
            found[name] = distribution
        for requirement in distribution.requires or []:
            if "extra ==" not in requirement and (needed := _NAME.match(requirement)):
                wanted.append(needed[0])
    return [found[name] for name in sorted(found)]


def files_of(distribution: Distribution) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an installed distribution."""
    for file in distribution.files or []:
        if ".." not in file.parts and (file.suffix in (".py", ".so") or file.name in ("METADATA", "entry_points.txt")):
            yield from compiled(str(file), Path(str(distribution.locate_file(file))))


def files_of_ours() -> Iterator[tuple[str, bytes]]:
    """The same of ours."""
    for name in OURS:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or []:
            if file.name in ("METADATA", "entry_points.txt"):
                yield str(file), Path(str(distribution.locate_file(file))).read_bytes()
        spec = importlib.util.find_spec(name.replace("-", "_"))
        assert spec, name
        assert spec.origin, name
        folder = Path(spec.origin).parent
        yield from files_below(folder, folder.parent)


def files_below(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """The same of a package, named as from a folder above."""
    for path in sorted(folder.rglob("*.py")):
        yield from compiled(str(path.relative_to(root)), path)


def compiled(name: str, path: Path) -> Iterable[tuple[str, bytes]]:
    """A file, and what Python makes of it."""
    yield name, path.read_bytes()
    if path.suffix == ".py":
        folder, _, file = name.rpartition("/")
        yield f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-311.pyc".lstrip("/"), _compile(name, path)


def _compile(name: str, path: Path) -> bytes:
    """Compiled code that is not compared with its source."""
    with tempfile.NamedTemporaryFile() as part:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), part.name, name, doraise=True, invalidation_mode=mode)
        return Path(part.name).read_bytes()
