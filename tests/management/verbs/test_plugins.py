"""Verbs on plugins."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from management.conftest import Managed
from support.site import Site, file_store, site_on_the_path

from tgtcore.errors import ConfigError, PluginError
from tgtcore.management.protocol import Code, VerbError

pytestmark = pytest.mark.asyncio


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_on_the_path(tmp_path / "site") as site:
        yield site


KEYS = """
    class Mine(Options):
        level: int = 1

    @hookimpl
    def tgt_register_options(options):
        options.add(Mine, used.append)

    used = []
"""


async def test_a_plugin_comes_with_its_keys_and_goes_with_them(manage: Managed, site: Site) -> None:
    site.install("acme-store", "acme", file_store(1) + KEYS)
    dry = await manage("plugin load", name="acme", keys=["level=3"], dry_run=True)
    assert "acme_store" not in sys.modules
    assert await manage("plugin load", name="acme", keys=["level=3"]) == dry
    assert [one.level for one in sys.modules["acme_store"].used] == [3]
    assert manage.daemon.config.document["plugin"] == {"acme": {"level": 3}}
    row = (await manage("plugin list"))[1]
    assert (row["name"], row["version"], row["offers"], row["used_by"]) == ("acme", "1.0", {"store": ["acme"]}, [])
    steps = await manage("plugin unload", name="acme", dry_run=True)
    assert [(step["action"], step["kind"], step["name"]) for step in steps] == [("remove", "plugin", "acme")]
    assert await manage("plugin unload", name="acme") == steps
    assert manage.daemon.config.document["plugin"] == {}
    assert "acme_store" not in sys.modules


async def test_what_uses_a_plugin_is_listed(manage: Managed) -> None:
    (row,) = await manage("plugin list")
    assert row["used_by"] == ["logical unit a", "logical unit b", "transport fake"]


async def test_a_reload_with_other_keys(manage: Managed, site: Site) -> None:
    site.install("acme-store", "acme", file_store(1) + KEYS)
    await manage("plugin load", name="acme", keys=["level=3"])
    site.install("acme-store", "acme", file_store(2) + KEYS.replace("int", "str"), "2.0")
    with pytest.raises(ConfigError, match=r"plugin.acme.level: "):
        await manage("plugin reload", name="acme")
    site.install("acme-store", "acme", file_store(3) + KEYS, "3.0")
    (step,) = await manage("plugin reload", name="acme", deadline=1)
    assert step == {"action": "reload", "kind": "plugin", "name": "acme", "detail": "1.0 -> 3.0"}
    assert [one.level for one in sys.modules["acme_store"].used] == [3]


async def test_names_that_are_wrong(manage: Managed, site: Site) -> None:
    with pytest.raises(PluginError, match='no installed plugin is called "acme"'):
        await manage("plugin load", name="acme")
    with pytest.raises(ConfigError, match='plugin "fake" is loaded already; to have new code of it: plugin reload'):
        await manage("plugin load", name="fake")
    for verb in ("plugin unload", "plugin reload"):
        with pytest.raises(VerbError, match='there is no enabled plugin called "fak"; did you mean "fake"') as caught:
            await manage(verb, name="fak")
        assert caught.value.code is Code.NOT_FOUND
