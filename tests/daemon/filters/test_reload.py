"""The plugin of filters gets new code, or goes, beneath a live disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.conftest import Running, Start, configuration, patient
from daemon.filters.conftest import UNITS, have, memory, named
from daemon.reload.conftest import Host, X, Y, real
from support.fake_filters import filtering
from support.site import Site, file_store, site_on_the_path

from tgtcore.errors import StoreError
from tgtcore.task import State
from tgtcore.testing.initiator import forget_attentions

pytestmark = pytest.mark.asyncio

BODY = """
    from tgtcore import CommandFilter, Filter, hookimpl

    class Acme(Filter):
        version = VERSION

        def __init__(self, base, options):
            super().__init__(base, options)
            self.begin()
            self.size_bytes = base.size_bytes

        def begin(self):
            pass

        def read(self, offset, length):
            return self.base.read(offset, length)

        def write(self, offset, data):
            self.base.write(offset, data)

        def flush(self):
            self.base.flush()

    class Beside(CommandFilter):
        version = VERSION

    @hookimpl
    def tgt_register_filters(registry):
        registry.filter("acme", Acme)
        registry.filter("beside", Beside)
"""
TEXT = configuration(
    UNITS.replace("filters = []", 'filters = [{ type = "hold" }, { type = "beside" }, { type = "acme" }]')
)


def body(version: int, old: str = "", new: str = "") -> str:
    return BODY.replace("VERSION", str(version)).replace(old, new, 1 if old else 0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_on_the_path(tmp_path / "site") as site:
        yield site


@pytest.fixture
def served(site: Site, start: Start) -> Start:
    async def begin(text: str) -> Running:
        site.install("acme-filters", "acme", body(1))
        running = await start(patient(configuration("", "real", "filtering")), real(), filtering())
        running.text = (
            patient(text)
            .replace("STATE", str(running.folder / "state"))
            .replace('plugins = ["fake"', 'plugins = ["fake", "real", "filtering", "acme"')
        )
        await running.apply()
        return running

    return begin


def versions(running: Running) -> list[int]:
    filters = named(running.daemon.inventory.units["a"])
    return [filters[name].version for name in ("beside", "acme")]


async def test_new_code_of_filters_leaves_the_rest_alone(served: Start, site: Site) -> None:
    """Also a store that would lose its content if it was closed."""
    running = await served(TEXT)
    host, unit = Host(running), running.daemon.inventory.units["a"]
    await host.write(X)
    hold, content = named(unit)["hold"], memory(unit)
    held = host.start("28 00 00000000 00 0001")
    site.install("acme-filters", "acme", body(2), "2.0")
    steps = await running.daemon.reload_plugin("acme")
    assert [(step.kind.value, step.name) for step in steps] == [("plugin", "acme"), ("logical unit", "a")]
    assert versions(running) == [2, 2]
    assert named(unit)["hold"] is hold
    assert memory(unit) is content
    assert held.state is State.HELD
    hold.go_on(held)
    await host.write(Y)
    assert bytes(content[:512]) == Y


async def test_code_that_fails_is_not_used(served: Start, site: Site) -> None:
    running = await served(TEXT)
    host = Host(running)
    site.install("acme-filters", "acme", body(2, "pass", "raise OSError(5, 'Input/output error')"), "2.0")
    with pytest.raises(StoreError, match="filter acme: input/output error"):
        await running.daemon.reload_plugin("acme")
    assert versions(running) == [1, 1]
    await host.write(X)


async def test_what_goes_back_goes_back_everywhere(served: Start, site: Site) -> None:
    text = TEXT.replace('type = "both", base', 'type = "acme", base')
    running = await served(text.replace('type = "memory"', 'type = "power", base = { type = "memory" }', 1))
    site.install("acme-filters", "acme", body(2), "2.0")
    with pytest.raises(Exception, match=r"logical unit b: its store acme.* loses its content"):
        await running.daemon.reload_plugin("acme")
    assert versions(running) == [1, 1]


async def test_a_store_is_reloaded_beneath_its_filters(start: Start, site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(bytes(1 << 20))
    site.install("acme-store", "acme", file_store(1))
    running = await start(patient(configuration("", "real", "filtering")), real(), filtering())
    units = UNITS.replace('{ type = "memory" }', '{ type = "acme", path = "a.img" }', 1)
    running.text = patient(configuration(units, "real", "filtering", "acme")).replace(
        "STATE", str(running.folder / "state")
    )
    await have(running, "hold", "layer")
    host, unit = Host(running), running.daemon.inventory.units["a"]
    hold, layer = named(unit).values()
    await host.write(X)
    site.install("acme-store", "acme", file_store(2), "2.0")
    await running.daemon.reload_plugin("acme")
    assert unit.stack is not None
    assert [type(store).__name__ for store in unit.stack.stores] == ["Acme", "Layer"]
    assert (layer.closed, hold.closed) == (1, 0)
    assert named(unit)["hold"] is hold
    assert unit.stack.stores[0].version == 2  # type: ignore[attr-defined]
    assert (tmp_path / "a.img").read_bytes()[:512] == X
    await have(running)
    forget_attentions(host.nexus)
    assert await host.read() == X


async def test_a_plugin_of_filters_is_in_use_until_they_are_gone(served: Start) -> None:
    running = await served(TEXT)
    unit = running.daemon.inventory.units["a"]
    plugin = running.daemon.plugins.find("acme")
    assert plugin is not None
    assert unit.lu in plugin.leases
    running.text = running.text.replace('{ type = "hold" }, { type = "beside" }, { type = "acme" }', "")
    await running.apply(("filters = []", 'filters = [{ type = "hold" }]'), (', "acme"', ""))
    assert running.daemon.plugins.find("acme") is None
    assert list(named(unit)) == ["hold"]
