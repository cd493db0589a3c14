"""Whatever fails, or is in the way: the old code serves on."""

import gc
import sys
from dataclasses import replace
from typing import Any

import pytest
from daemon.conftest import Running, Start
from daemon.reload.conftest import Host, X, Y, attentions, finished, version
from support.fakes import FakeDevice
from support.site import Site, file_store

from tgtcore import signals
from tgtcore.errors import ConfigError, DrainTimeout, PluginError, StoreError, TgtError
from tgtcore.scsi.status import Status

pytestmark = pytest.mark.asyncio

REFUSED: dict[str, tuple[str, type[TgtError], str]] = {
    "an import that fails": (file_store(2) + "\n    import nothing_of_that_name\n", PluginError, "failed to import"),
    "a hook that fails": (file_store(2, 'registry.store("acme", Acme)', "1 / 0"), PluginError, "failed: ZeroDivision"),
    "a store that is not there any more": (
        file_store(2, 'registry.store("acme", Acme)', 'registry.store("other", Acme)'),
        ConfigError,
        'there is no store called "acme"',
    ),
    "other keys": (
        file_store(2, "path: Path", "path: Path\n        more: int"),
        ConfigError,
        "more: this key is missing",
    ),
    "a constructor that raises": (
        file_store(2, "            pass", '            raise OSError(5, "Input/output error")'),
        StoreError,
        "logical unit a can't be served by the new code: .*input/output error; the old code serves it",
    ),
    "a constructor with a defect": (file_store(2, "            pass", "            1 / 0"), StoreError, "ZeroDivision"),
    "a smaller medium": (
        file_store(2, "            pass", "            self.size_bytes //= 2"),
        StoreError,
        "its store has 524288 bytes, expected 1048576 or more",
    ),
    "less on offer": (
        file_store(2, "def write(", "def weite(").replace("def flush(", "def fluesh("),
        StoreError,
        "its store does not offer write any more",
    ),
}


@pytest.mark.parametrize(("body", "kind", "message"), REFUSED.values(), ids=REFUSED)
async def test_the_old_code_serves_on(
    running: Running, host: Host, site: Site, body: str, kind: type[TgtError], message: str
) -> None:
    await host.write(X)
    gc.collect()  # what an earlier test has left
    before, module, heard = running.daemon.plugins, sys.modules["acme_store"], len(signals.listeners())
    config = running.daemon.config
    site.install("acme-store", "acme", body, "2.0")
    waiting = host.start("2a 00 00000001 00 0001", Y)
    with pytest.raises(kind, match=message):
        await running.daemon.reload_plugin("acme")
    waiting.give()
    assert (await finished(waiting)).status == Status.GOOD
    assert (await host.read(), await host.read(lba=1)) == (X, Y)
    assert (running.daemon.plugins, running.daemon.config, version(running)) == (before, config, 1)
    assert (sys.modules["acme_store"], len(signals.listeners())) == (module, heard)
    site.install("acme-store", "acme", file_store(3), "3.0")
    await running.daemon.reload_plugin("acme")
    assert (version(running), attentions(host)) == (3, [])


async def test_all_units_or_none(running: Running, host: Host, site: Site) -> None:
    await host.write(X)
    await host.write(Y, 1)
    body = file_store(2, "            pass", '            assert options.path.name == "a.img"')
    site.install("acme-store", "acme", body, "2.0")
    with pytest.raises(StoreError, match="logical unit b can't be served by the new code"):
        await running.daemon.reload_plugin("acme")
    assert (version(running, "a"), version(running, "b")) == (1, 1)
    assert (await host.read(), await host.read(1)) == (X, Y)


async def test_it_waits_only_so_long_for_commands(running: Running, host: Host, site: Site) -> None:
    unit = running.daemon.inventory.units["b"]
    assert unit.store is not None
    site.install("acme-store", "acme", file_store(2), "2.0")
    with (
        unit.store.leases.lease("a flush for nobody"),
        pytest.raises(DrainTimeout, match=r"logical unit b was still busy after 0.01 s with: a flush for nobody"),
    ):
        await running.daemon.reload_plugin("acme", 0.01)
    assert (version(running, "a"), version(running, "b")) == (1, 1)
    assert await host.read(1) == bytes(512)


async def test_a_unit_that_is_going_away_is_not_reloaded(
    running: Running, host: Host, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    task = host.start("2a 00 00000000 00 0001", X, lun=1)
    unit = running.daemon.inventory.units["b"]
    assert unit.store is not None
    site.install("acme-store", "acme", file_store(2), "2.0")
    with unit.store.leases.lease("a flush for nobody"):
        with pytest.raises(DrainTimeout):
            await running.daemon.edit(without_b, deadline_s=0)
        unit.config = replace(unit.config, device_type="gone")  # so is the plugin that its device came from
        with pytest.raises(ConfigError, match="logical unit b is still going away; try again later"):
            await running.daemon.reload_plugin("acme")
    await finished(task)
    assert version(running) == 1


def without_b(document: dict[str, Any]) -> None:
    del document["logical_units"]["b"]
    document["targets"]["t.one"]["luns"] = ["a"]


async def test_what_can_not_be_reloaded_is_refused_with_what_to_do(
    start: Start, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start()
    before = running.daemon.plugins
    monkeypatch.setattr("tgtcore.daemon.reload.load_anew", lambda records: pytest.fail("it was tried"))
    with pytest.raises(ConfigError) as caught:
        await running.daemon.reload_plugin("fake")
    transport, device, store, *_ = caught.value.problems
    assert transport.startswith("transport fake runs in the daemon, and its sessions can't outlive its code; ")
    assert device.startswith("logical unit a: device type fake can't hand its state over to new code")
    assert store.startswith("logical unit a: its store memory() loses its content when it is closed")
    monkeypatch.setattr(FakeDevice, "hands_over", True)
    running.daemon.inventory.units["a"].lu.leases.shut()
    with pytest.raises(ConfigError, match="logical unit a is still going away; try again later"):
        await running.daemon.reload_plugin("fake")
    with pytest.raises(PluginError, match='plugin "other" is not enabled'):
        await running.daemon.reload_plugin("other")
    assert running.daemon.plugins is before
