"""Plugins found by name: every way in which an installation can be wrong has its own message."""

import sys
from pathlib import Path

import pytest
from support.site import Site

from tgtcore.errors import PluginError
from tgtcore.plugins import Plugins, installed
from tgtcore.plugins.discovery import load


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        monkeypatch.delitem(sys.modules, name)
    return Site(tmp_path)


GOOD = """
    from tgtcore import hookimpl
    @hookimpl
    def tgt_status(detail):
        return {"acme": detail}
"""


def test_an_installed_plugin_is_found_imported_and_asked(site: Site) -> None:
    site.install("acme-good", "good", GOOD)
    (record,) = installed()["good"]
    assert (record.distribution, record.version, record.plugin) == ("acme-good", "1.0", None)
    plugins = Plugins.load(["good"])
    assert plugins.names == ["good"]
    assert plugins.records[0].hooks == ["tgt_status"]
    assert plugins.status(detail=True) == {"acme": True}


def test_plugins_are_loaded_in_the_order_that_is_asked_for(site: Site) -> None:
    for name in ("one", "two", "three"):
        site.install(f"acme-{name}", name, GOOD)
    assert [record.name for record in load(["three", "one", "two"]).records] == ["three", "one", "two"]


BROKEN = {
    "an import that fails": (
        "import nothing_of_that_name",
        r'plugin "it" \(acme-it 1.0\) failed to import acme_it: ModuleNotFoundError',
    ),
    "an assertion that fails": (
        "assert False, 'not on this machine'",
        r'plugin "it" \(acme-it 1.0\) failed to import acme_it: AssertionError: not on this machine',
    ),
    "an import that exits": (
        "raise SystemExit(3)",
        r'plugin "it" \(acme-it 1.0\) failed to import acme_it: SystemExit: 3',
    ),
    "no hook": ("answer = 42", "acme_it has no hook, such as tgt_register_stores"),
    "no decorator": ("def tgt_status(detail): return {}", r"tgt_status\(\) lacks the @hookimpl decorator"),
    "an unknown hook": (
        "from tgtcore import hookimpl\n@hookimpl\ndef tgt_register_storez(registry): pass",
        'there is no hook called "tgt_register_storez"; did you mean "tgt_register_stores"',
    ),
    "another version": ("TGTCORE_API = 99", "was made for version 99 of the plugin interface"),
    "an unknown argument": (
        "from tgtcore import hookimpl\n@hookimpl\ndef tgt_status(everything): return {}",
        r"tgt_status\(\) asks for the argument everything; expected some of \(detail\)",
    ),
    "a registration that fails": (
        "from tgtcore import hookimpl\n@hookimpl\ndef tgt_register_stores(registry): 1 / 0",
        r"tgt_register_stores\(\) failed: ZeroDivisionError",
    ),
}


@pytest.mark.parametrize(("body", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_an_error_that_names_it(site: Site, body: str, message: str) -> None:
    site.install("acme-it", "it", body)
    with pytest.raises(PluginError, match=message) as caught:
        Plugins.load(["it"])
    assert "acme-it 1.0" in str(caught.value)


def test_a_plugin_that_is_not_installed_gets_the_nearest_name(site: Site) -> None:
    site.install("acme-good", "acmegood", GOOD)
    with pytest.raises(PluginError, match=r'no installed plugin is called "acmegod"; did you mean "acmegood"'):
        load(["acmegod"])


def test_two_distributions_with_one_name_are_both_named(site: Site) -> None:
    site.install("acme-a", "same", GOOD)
    site.install("acme-b", "same", GOOD, "2.0")
    with pytest.raises(PluginError, match=r'acme-a 1.0 and acme-b 2.0 both provide a plugin called "same"'):
        load(["same"])


def test_a_plugin_is_enabled_once(site: Site) -> None:
    site.install("acme-good", "good", GOOD)
    with pytest.raises(PluginError, match=r'plugin "good" is enabled twice'):
        load(["good", "good"])


def test_a_broken_plugin_that_is_not_enabled_disturbs_nobody(site: Site) -> None:
    site.install("acme-bad", "bad", "import nothing_of_that_name")
    site.install("acme-good", "good", GOOD)
    assert Plugins.load(["good"]).names == ["good"]
