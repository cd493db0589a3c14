"""Plugins that come and go while the daemon runs."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon.conftest import AMPLE_S, CONFIG, Impatient, Running, Start
from support.fakes import HeldTask
from support.site import Site, acme_modules, file_store, site_on_the_path

from tgtcore import signals
from tgtcore.config import parse
from tgtcore.daemon import Kind
from tgtcore.errors import ConfigError, DrainTimeout, PluginError, StoreError
from tgtcore.management.edits import remove_plugin
from tgtcore.task import Attribute
from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio

ACME_UNIT = """
[logical_units.c]
device_type = "fake"
store = { type = "through", base = { type = "acme", path = "c.img" } }
"""
ENABLED = ('plugins = ["fake"]', 'plugins = ["fake", "acme"]')
USED = ("[targets.", ACME_UNIT + "[targets.")
MAPPED = ('luns = ["a", "b"]', 'luns = ["a", "b", "c"]')


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "c.img").write_bytes(bytes(1 << 20))
    with site_on_the_path(tmp_path / "site") as site:
        yield site


def listeners() -> int:
    gc.collect()
    return len(signals.listeners())


async def test_a_plugin_that_was_installed_after_the_start_is_loaded(running: Running, site: Site) -> None:
    loaded: list[Any] = []
    site.install("acme-store", "acme", file_store(1))
    with signals.plugin_loaded.connected_to(loaded.append):
        steps = await running.apply(ENABLED, USED, MAPPED)
    assert [str(step).partition(":")[0] for step in steps] == [
        "add plugin acme",
        "add logical unit c",
        "add LUN t.one",
    ]
    plugins = running.daemon.plugins
    acme = plugins.find("acme")
    assert acme is not None
    assert loaded == [acme]
    assert plugins.status(detail=False) == {"acme": 1}
    assert plugins.names == ["fake", "acme"]
    unit = running.daemon.inventory.units["c"]
    assert {record.name for record in unit.makers} == {"fake", "acme"}
    assert acme.leases.holders_of(object) == [unit.lu]


async def test_an_order_of_plugins_is_a_change_of_its_own(running: Running, site: Site) -> None:
    site.install("acme-store", "acme", file_store(1))
    await running.apply(ENABLED)
    await running.apply(('plugins = ["fake"]', 'plugins = ["acme", "fake"]'))
    assert running.daemon.plugins.names == ["acme", "fake"]


REFUSED: dict[str, tuple[str, type[Exception], str]] = {
    "an import that fails": (file_store(1) + "\n    import nothing_of_that_name\n", PluginError, "failed to import"),
    "a hook that fails": (
        file_store(1, 'registry.store("acme", Acme)', "1 / 0"),
        PluginError,
        "tgt_register_stores.. failed",
    ),
    "a name that is taken": (
        file_store(1, 'registry.store("acme", Acme)', 'registry.store("memory", Acme)'),
        PluginError,
        "tgtcore-fake 1.0 and acme-store 1.0 both offer a store",
    ),
    "keys that are wrong": (file_store(1, "path: Path", "other: Path"), ConfigError, "unknown key"),
    "a store that fails": (file_store(1, "pass", "1 / 0"), StoreError, "ZeroDivisionError"),
}


@pytest.mark.parametrize(("body", "kind", "message"), REFUSED.values(), ids=REFUSED)
async def test_all_or_nothing_is_loaded(
    running: Running, site: Site, body: str, kind: type[Exception], message: str
) -> None:
    before, heard = running.daemon.plugins, listeners()
    site.install("acme-store", "acme", body)
    with pytest.raises(kind, match=message):
        await running.apply(ENABLED, USED, MAPPED)
    assert running.daemon.plugins is before
    assert running.daemon.config.plugins == ("fake",)
    assert (acme_modules(), listeners()) == ([], heard)
    site.install("acme-store", "acme", file_store(2), "2.0")
    await running.apply(ENABLED, USED, MAPPED)
    assert running.daemon.plugins.status(detail=False) == {"acme": 2}


async def test_an_unknown_plugin_is_named_with_its_place(running: Running, site: Site) -> None:
    text = running.text.replace(*ENABLED)
    with pytest.raises(PluginError, match=r'c.toml:2: plugins: no installed plugin is called "acme"'):
        await running.daemon.apply(parse(text.encode(), running.folder, "c.toml"))


async def test_a_dry_run_and_a_check_load_nothing(running: Running, site: Site) -> None:
    before = running.daemon.plugins
    site.install("acme-store", "acme", file_store(1))
    steps = await running.apply(ENABLED, dry_run=True)
    assert [str(step) for step in steps] == ["add plugin acme"]
    source = parse(running.text.replace(*ENABLED).encode(), running.folder)
    assert (await running.daemon.check(source)).plugins == ("fake", "acme")
    assert running.daemon.plugins is before
    assert acme_modules() == []


def gone(*things: Any) -> Callable[[], bool]:
    """Whether nobody refers to things any more that were there."""
    kept = [weakref.ref(thing) for thing in things]

    def all_gone() -> bool:
        gc.collect()
        return all(one() is None for one in kept)

    return all_gone


async def test_an_unloaded_plugin_is_really_gone(running: Running, site: Site) -> None:
    heard = listeners()
    site.install("acme-store", "acme", file_store(1), acme_helper="class Helper: pass")
    await running.apply(ENABLED, USED, MAPPED)
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    nexus.submit(HeldTask(nexus, 2 << 48, 1, Attribute.SIMPLE, bytes(16), 0, 0))
    module = sys.modules["acme_store"]
    assert module.opened == ["c"]
    all_gone = gone(module, module.Acme, module.AcmeOptions, running.daemon.plugins.find("acme"))
    del module
    steps = await running.apply()
    assert [str(step) for step in steps] == [
        "remove LUN t.one: LUN 2, logical unit c",
        "remove logical unit c",
        "remove plugin acme",
    ]
    del steps
    assert (acme_modules(), listeners()) == ([], heard)
    assert running.daemon.plugins.names == ["fake"]
    assert "acme" not in running.daemon.plugins.registry.stores
    assert all_gone()


async def test_code_waits_for_what_was_built_from_it(running: Running, site: Site, impatient: Impatient) -> None:
    impatient(Kind.LOGICAL_UNIT, "c")
    impatient(Kind.PLUGIN, "acme")
    site.install("acme-store", "acme", file_store(1))
    await running.apply(ENABLED, USED)
    leases = running.daemon.inventory.units["c"].lu.leases
    leases.take("a slow reader")
    with pytest.raises(DrainTimeout, match=r"plugin acme is still in use after .* by: logical unit c"):
        await running.apply()
    assert acme_modules() == ["acme_store"]
    with pytest.raises(ConfigError, match="plugin acme is still going away; try again later"):
        await running.apply(ENABLED)
    unloaded = asyncio.Event()
    with signals.plugin_unloaded.connected_to(lambda record: unloaded.set()):
        leases.give("a slow reader")
        await asyncio.wait_for(unloaded.wait(), AMPLE_S)
    await until_async(lambda: not len(running.daemon.departures))
    assert acme_modules() == []
    await running.apply(ENABLED, USED)


async def test_one_plugin_takes_the_place_of_another(running: Running, site: Site) -> None:
    site.install("acme-store", "acme", file_store(1))
    site.install("acme-other", "other", file_store(7))
    await running.apply(ENABLED, USED, MAPPED)
    other = ('plugins = ["fake"]', 'plugins = ["fake", "other"]')
    with pytest.raises(ConfigError, match="portal taken"):
        await running.apply(other, USED, MAPPED, ('address = "one"', 'address = "taken"'))
    assert running.daemon.plugins.status(detail=False) == {"acme": 1}
    assert acme_modules() == ["acme_store"]
    await running.apply(other, USED, MAPPED)
    assert running.daemon.plugins.status(detail=False) == {"acme": 7}
    assert acme_modules() == ["acme_other"]


async def test_unloading_removes_everything_that_uses_it(running: Running, site: Site) -> None:
    private = '[[targets."t.one".private_luns]]\ninitiators = ["x"]\nluns = { 5 = "c", 6 = "a" }\n'
    site.install("acme-store", "acme", file_store(1))
    text = running.text.replace(*ENABLED).replace(*USED).replace(*MAPPED) + private
    await running.daemon.apply(parse(text.encode(), running.folder))
    registry = running.daemon.plugins.registry
    await running.daemon.edit(lambda document: remove_plugin(document, "acme", registry))
    assert set(running.daemon.inventory.units) == {"a", "b"}
    (private_map,) = running.daemon.inventory.targets["t.one"].private_luns
    assert {lun: lu.name for lun, lu in private_map.luns().items()} == {6: "a"}
    assert acme_modules() == []
    await running.daemon.edit(lambda document: remove_plugin(document, "fake", registry))
    inventory = running.daemon.inventory
    assert (inventory.units, inventory.targets, inventory.transports, inventory.plugins.names) == ({}, {}, {}, [])


async def test_a_daemon_may_begin_with_nothing(start: Start, site: Site) -> None:
    text = CONFIG[CONFIG.index("[daemon]") : CONFIG.index("[transports")]
    running = await start(f"plugins = []\n{text}")
    site.install("acme-store", "acme", file_store(1))
    await running.apply(("plugins = []", 'plugins = ["acme"]'))
    assert running.daemon.plugins.names == ["acme"]
    with pytest.raises(ConfigError, match="restart it"):
        await running.apply(("plugins = []", "plugins = []"), ("workers = 2", "workers = 3"))
