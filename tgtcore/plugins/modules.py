"""The modules of a plugin: which ones they are, and taking them out of ``sys.modules`` and putting them back.

They are the package of the module that the entry point names, and whatever other modules the same distribution has installed.
"""

import sys
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import Any

from tgtcore import signals


class Modules:
    """Some modules of ``sys.modules``, as they are now.

    :param found: by their names.
    """

    def __init__(self, found: dict[str, ModuleType]) -> None:
        self._found = found
        self._spaces = {id(module.__dict__) for module in found.values()}

    @classmethod
    def of(cls, entries: "Iterable[tuple[str, Distribution | None]]") -> "Modules":
        """All modules of some plugins.

        :param entries: for each the module that its entry point names, and its distribution.
        """
        roots, files = set(), set()
        for module, distribution in entries:
            roots.add(_root(module))
            files |= set(_files(distribution))
        return cls({name: module for name, module in list(sys.modules.items()) if _belongs(name, module, roots, files)})

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def but(self, names: Container[str]) -> "Modules":
        """Those that are not among some names."""
        return Modules({name: module for name, module in self._found.items() if name not in names})

    def take_out(self) -> None:
        """Let the next import of each of them load its code anew."""
        for name, module in self._found.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if parent in sys.modules and vars(sys.modules[parent]).get(child) is module:
                delattr(sys.modules[parent], child)

    def put_back(self) -> None:
        """Undo :meth:`take_out`."""
        sys.modules.update(self._found)
        for name, module in self._found.items():
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, module)

    def stop_listening(self) -> None:
        """Disconnect every listener of a signal whose code is in these modules."""
        signals.disconnect_all(lambda listener: id(_space_of(listener)) in self._spaces)


def stop_new_listeners(modules: Iterable[str], heard: Container[object]) -> None:
    """Disconnect what modules have connected whose import has failed: they are in ``sys.modules`` no more.

    :param heard: the listeners from before.
    """
    names = {module.partition(".")[0] for module in modules}

    def is_new(listener: Callable[..., Any]) -> bool:
        name = (_space_of(listener) or {}).get("__name__", "")
        return listener not in heard and name.partition(".")[0] in names

    signals.disconnect_all(is_new)


def _root(module: str) -> str:
    """The outermost package around a module that is not shared with others, as namespace packages are."""
    parts = module.split(".")
    for depth in range(1, len(parts)):
        package = sys.modules.get(".".join(parts[:depth]))
        if package is not None and getattr(package, "__file__", None) is not None:
            return ".".join(parts[:depth])
    return module


def _files(distribution: "Distribution | None") -> Iterator[Path]:
    """The Python files that a distribution has installed; an editable one tells only those that are in no package of its own."""
    for file in (distribution.files if distribution is not None else None) or ():
        if file.suffix == ".py" and distribution is not None:
            yield Path(str(distribution.locate_file(file)))


def _belongs(name: str, module: ModuleType | None, roots: Iterable[str], files: set[Path]) -> bool:
    if any(name == root or name.startswith(f"{root}.") for root in roots):
        return module is not None
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and Path(file) in files


def _space_of(listener: Callable[..., Any]) -> Any:
    """The global names of whatever module a function, a method, a partial or a callable object comes from."""
    while isinstance(listener, partial):
        listener = listener.func
    function = getattr(listener, "__func__", listener)
    if not hasattr(function, "__globals__"):
        function = type(listener).__call__
    return getattr(function, "__globals__", None)
