"""The old store is done with before the new one is opened."""

import asyncio
import gc
import sys
import threading
from typing import Any

import pytest
from daemon.conftest import Running
from daemon.reload.conftest import CONFIG, Host, Serve, X, Y, attentions, finished, version
from support.site import Site, file_store

from tgtcore.daemon import flushing, swap
from tgtcore.daemon.inventory import Unit
from tgtcore.errors import StoreError
from tgtcore.scsi import asc
from tgtcore.scsi.status import Status

pytestmark = pytest.mark.asyncio


async def test_the_store_is_not_called_twice_at_once(
    running: Running, host: Host, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = running.daemon.inventory.units["a"]
    assert unit.stack is not None
    store: Any = unit.stack.top
    begun, gate, calls = threading.Event(), threading.Event(), list[str]()
    read = store.read

    def slowly(offset: int, length: int) -> bytes:
        begun.set()
        assert gate.wait(10)
        calls.append("read")
        data: bytes = read(offset, length)
        return data

    monkeypatch.setattr(unit.lu.store, "read", slowly)
    monkeypatch.setattr(store, "flush", lambda: calls.append("flush"))
    command = host.start("28 00 00000000 00 0001")
    assert await asyncio.to_thread(begun.wait, 10)
    flush = flushing.flush

    async def release(unit: Unit) -> None:
        asyncio.get_running_loop().call_later(0.05, gate.set)
        await flush(unit)

    monkeypatch.setattr(swap, "flush", release)
    await running.daemon.reload_plugin("acme")
    assert (await finished(command)).status == Status.GOOD
    assert calls[:2] == ["read", "flush"]


async def test_a_store_is_in_use_until_its_flush_has_returned(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when the reload is given up meanwhile: a stop closes the store after it, and tells what fails."""
    unit = running.daemon.inventory.units["a"]
    assert unit.stack is not None
    assert unit.store is not None
    begun, gate = threading.Event(), threading.Event()

    def slowly() -> None:
        begun.set()
        assert gate.wait(10)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(unit.stack.top, "flush", slowly)
    flush = asyncio.ensure_future(flushing.flush(unit))
    assert await asyncio.to_thread(begun.wait, 10)
    flush.cancel()
    await asyncio.gather(flush, return_exceptions=True)
    assert [holder.name for holder in unit.jobs()] == ["a flush of logical unit a"]
    gate.set()
    jobs = [job for job in unit.store.leases.holders_of(object) if job is not unit.lu]
    await asyncio.wait_for(unit.store.leases.released(jobs), 10)
    assert unit.jobs() == []
    monkeypatch.undo()
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_writes_that_can_not_be_made_durable_keep_the_old_store(running: Running, host: Host, site: Site) -> None:
    """Its successor would not know that they are lost."""
    module = sys.modules["acme_store"]

    def fail(store: object) -> None:
        raise OSError(5, "Input/output error")

    flush, module.Acme.flush = module.Acme.flush, fail
    site.install("acme-store", "acme", file_store(2), "2.0")
    with pytest.raises(StoreError, match="logical unit a stays as it is, its store can't be flushed: input/output"):
        await running.daemon.reload_plugin("acme")
    assert version(running) == 1
    module.Acme.flush = flush


async def test_what_nothing_can_open_is_offline_until_it_can_be_opened(
    running: Running, host: Host, site: Site
) -> None:
    await host.write(X)
    site.install(
        "acme-store",
        "acme",
        file_store(2, "            pass", "            options.path.unlink()\n            1 / 0"),
        "2.0",
    )
    moved = running.folder / "kept.img"
    moved.hardlink_to(running.folder / "a.img")
    waiting = host.start("2a 00 00000000 00 0001", Y)
    with pytest.raises(StoreError, match=r"the old code failed too: .*a.img: no such file.*; it is offline now"):
        await running.daemon.reload_plugin("acme")
    assert (await finished(waiting)).status == Status.CHECK_CONDITION
    read = await host.run("28 00 00000000 00 0001")
    assert (read.sense[2] & 15, tuple(read.sense[12:14])) == (2, asc.LOGICAL_UNIT_NOT_READY_OFFLINE)
    assert (await host.run("12 00 00 00 24")).status == Status.GOOD
    unit = running.daemon.inventory.units["a"]
    unit.lu.set_online(True)
    assert (await host.run("28 00 00000000 00 0001")).status == Status.CHECK_CONDITION
    moved.rename(running.folder / "a.img")
    site.install("acme-store", "acme", file_store(3), "3.0")
    await running.daemon.reload_plugin("acme")
    assert (await host.read(), unit.lu.online, version(running)) == (X, True, 3)


SNAPSHOTS = """def list_snapshots(self):
            return []

        def create_snapshot(self, name):
            raise OSError

        delete_snapshot = revert_snapshot = create_snapshot

        def close(self):"""


async def test_whether_snapshots_are_kept_is_no_news_for_initiators(serve: Serve, site: Site) -> None:
    """They are not offered to them, so a store may begin with it, and may stop."""
    site.install("acme-store", "acme", file_store(1))
    running = await serve(CONFIG)
    host = Host(running)
    unit = running.daemon.inventory.units["a"]
    for number, (old, new) in enumerate([("def close(self):", SNAPSHOTS), ("", "")], 2):
        site.install("acme-store", "acme", file_store(number, old, new), f"{number}.0")
        await running.daemon.reload_plugin("acme")
        assert version(running) == number
        assert unit.stack is not None
        assert (unit.stack.keeper is unit.stack.top) is bool(old)
        assert attentions(host) == []
