"""The modules of a plugin: all of its own and none of others."""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.site import Site

from tgtcore import signals
from tgtcore.plugins import Modules, installed, load, look_again, modules_of

HOOK = "from tgtcore import hookimpl\n@hookimpl\ndef tgt_status(detail):\n    return {}\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in [name for name in sys.modules if name not in before and name.startswith("acme")]:
        del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(modules: Modules) -> list[str]:
    return sorted(name for name in sys.modules if name in modules)


def test_a_package_with_all_that_is_in_it(site: Site) -> None:
    write(site.folder, acme_pkg__plugin="import acme_pkg.more\nimport json\n")
    write(site.folder, acme_pkg__more="", acme_pkgother="")
    (site.folder / "acme_pkg" / "__init__.py").touch()
    importlib.import_module("acme_pkg.plugin")
    importlib.import_module("acme_pkgother")
    assert names(Modules.of([("acme_pkg.plugin", None)])) == ["acme_pkg", "acme_pkg.more", "acme_pkg.plugin"]


def test_a_package_that_is_shared_with_others_stays(site: Site) -> None:
    write(site.folder, acme_space__tgt__plugin="", acme_space__other="")
    (site.folder / "acme_space" / "tgt" / "__init__.py").touch()
    plugin = importlib.import_module("acme_space.tgt.plugin")
    importlib.import_module("acme_space.other")
    space: Any = sys.modules["acme_space"]
    modules = Modules.of([("acme_space.tgt.plugin", None)])
    assert names(modules) == ["acme_space.tgt", "acme_space.tgt.plugin"]
    modules.take_out()
    assert not hasattr(space, "tgt")
    assert {"acme_space", "acme_space.other"} <= set(sys.modules)
    assert "acme_space.tgt.plugin" not in sys.modules
    modules.put_back()
    assert space.tgt.plugin is plugin
    assert sys.modules["acme_space.tgt.plugin"] is plugin


def test_other_modules_of_the_distribution_go_too(site: Site) -> None:
    site.install("acme-single", "single", HOOK + "import acme_helper\n", acme_helper="")
    look_again()
    (record,) = load(["single"]).records
    assert names(modules_of([record])) == ["acme_helper", "acme_single"]
    assert names(modules_of([record]).but({"acme_helper"})) == ["acme_single"]
    assert installed()["single"][0] is not record


def test_what_was_imported_already_is_not_taken_out_again(site: Site) -> None:
    site.install("acme-single", "single", HOOK + "import acme_helper\n", acme_helper="")
    look_again()
    importlib.import_module("acme_helper")
    loaded = load(["single"])
    assert names(loaded.modules) == ["acme_single"]
    loaded.modules.take_out()
    assert "acme_helper" in sys.modules


def test_a_module_that_another_has_replaced_stays(site: Site) -> None:
    write(site.folder, acme_single="")
    importlib.import_module("acme_single")
    modules = Modules.of([("acme_single", None)])
    other = sys.modules["acme_single"] = ModuleType("acme_single")
    modules.take_out()
    assert sys.modules["acme_single"] is other


def listeners(module: ModuleType) -> list[Callable[..., None]]:
    """One of each kind whose code is in a module."""
    source = """
def function(sender): pass
class Listener:
    def method(self, sender): pass
    def __call__(self, sender): pass
"""
    exec(source, module.__dict__)
    listener = module.__dict__["Listener"]()
    function = module.__dict__["function"]
    return [function, listener.method, listener, partial(partial(function))]


def test_its_listeners_hear_nothing_any_more_and_others_do() -> None:
    gc.collect()  # what an earlier test has left
    before = len(signals.listeners())
    mine, theirs = ModuleType("acme_mine"), ModuleType("acme_mine")
    kept = [listeners(module) for module in (mine, theirs)]
    for number, listener in enumerate(one for some in kept for one in some):
        signal = (signals.lu_added, signals.store_opened)[number % 2]
        signal.connect(listener, weak=number % 3 == 0)
    Modules({"acme_mine": mine}).stop_listening()
    assert len(signals.listeners()) == before + 4
    Modules({"acme_mine": theirs}).stop_listening()
    assert len(signals.listeners()) == before
