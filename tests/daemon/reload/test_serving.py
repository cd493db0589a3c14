"""New code beneath live logical units: everything that was acknowledged is there, and initiators are told what is different."""

import asyncio
import gc
import itertools
import sys
import weakref

import pytest
from daemon.conftest import Running
from daemon.reload.conftest import Host, X, Y, attentions, finished, version
from support.site import Site, file_store

from tgtcore import Features, signals
from tgtcore.scsi import asc
from tgtcore.scsi.status import Status
from tgtcore.task import State

pytestmark = pytest.mark.asyncio


async def test_what_was_acknowledged_is_there_and_nothing_is_told(running: Running, host: Host, site: Site) -> None:
    await host.write(X)
    late = host.start("2a 00 00000001 00 0001", Y)
    module = sys.modules["acme_store"]
    gone = [weakref.ref(thing) for thing in (module, module.Acme, module.AcmeOptions)]
    gc.collect()  # what an earlier test has left
    heard = len(signals.listeners())
    del module
    site.install("acme-store", "acme", file_store(2), "2.0")
    steps = await running.daemon.reload_plugin("acme")
    assert [str(step).partition(" for")[0] for step in steps] == [
        "reload plugin acme: 1.0 -> 2.0",
        "reload logical unit a: paused",
        "reload logical unit b: paused",
    ]
    late.give()
    assert (await finished(late)).status == Status.GOOD
    assert (await host.read(), await host.read(lba=1), attentions(host), attentions(host, 1)) == (X, Y, [], [])
    assert (version(running), version(running, "b")) == (2, 2)
    assert running.daemon.plugins.status(detail=False) == {"acme": 2}
    (record,) = [record for record in running.daemon.plugins.records if record.name == "acme"]
    assert (record.version, len(record.leases)) == ("2.0", 2)
    del steps, record
    gc.collect()
    assert [one() for one in gone] == [None] * 3
    assert len(signals.listeners()) == heard
    assert sys.modules["acme_store"].opened == ["a", "b"]


async def test_every_acknowledged_write_outlives_many_reloads(running: Running, host: Host, site: Site) -> None:
    content: dict[tuple[int, int], bytes] = {}

    enough = asyncio.Event()

    async def use(lun: int) -> None:
        for number in itertools.count():
            lba, data, other = number % 16, number.to_bytes(4, "big") * 128, number * 7 % 16
            await host.write(data, lun, lba)
            content[lun, lba] = data
            assert await host.read(lun, other) == content.get((lun, other), bytes(512))
            await asyncio.sleep(0)
            if enough.is_set():
                return

    users = [asyncio.ensure_future(use(lun)) for lun in (0, 1)]
    for number in range(2, 22):
        site.install("acme-store", "acme", file_store(number), f"{number}.0")
        await running.daemon.reload_plugin("acme", 10)
    enough.set()
    await asyncio.gather(*users)
    assert version(running) == 21
    for lun, lba in content:
        assert await host.read(lun, lba) == content[lun, lba]
    assert attentions(host) == []


async def test_a_medium_that_has_grown_is_told(running: Running, host: Host, site: Site) -> None:
    (running.folder / "a.img").write_bytes(bytes(2 << 20))
    site.install("acme-store", "acme", file_store(2), "2.0")
    await running.daemon.reload_plugin("acme")
    assert attentions(host) == [asc.CAPACITY_DATA_HAS_CHANGED]
    assert attentions(host, 1) == []


async def test_a_store_that_can_do_more_is_told(running: Running, host: Host, site: Site) -> None:
    zeroes = "write_zeroes = lambda self, offset, length: self.write(offset, bytes(length))"
    body = file_store(2, "def read(", f"{zeroes}\n\n        def read(")
    site.install("acme-store", "acme", body, "2.0")
    await running.daemon.reload_plugin("acme")
    store = running.daemon.inventory.units["a"].store
    assert store is not None
    assert Features.WRITE_ZEROES in store.features
    assert attentions(host) == [asc.INQUIRY_DATA_HAS_CHANGED]


async def test_a_stop_during_a_reload_leaves_nothing(running: Running, host: Host, site: Site) -> None:
    site.install(
        "acme-store", "acme", file_store(2, "            pass", "            import time; time.sleep(0.3)"), "2.0"
    )
    reload = asyncio.ensure_future(running.daemon.reload_plugin("acme"))
    async with asyncio.timeout(5):
        while running.daemon.inventory.units["a"].lu.pause is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    waiting = host.start("28 00 00000000 00 0001")
    assert await running.daemon.stop() == []
    assert waiting.state is State.ENDED
    await asyncio.gather(reload, return_exceptions=True)
    assert running.daemon.inventory.units == {}
