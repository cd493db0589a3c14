"""Snapshots beneath filters: what those keep to themselves is in them, and going back leaves nothing of it."""

import asyncio

import pytest
from daemon.conftest import Running, Start
from daemon.reload.conftest import Host
from daemon.snapshots.conftest import CONFIG, X, Y, keep, store_of
from support.fake_filters import Layer, filtering

from tgtcore.daemon.snapshots import create_snapshot, revert_snapshot
from tgtcore.errors import StoreError
from tgtcore.testing.initiator import forget_attentions

pytestmark = pytest.mark.asyncio


async def serve(start: Start, *filters: str) -> Running:
    tables = ", ".join(f'{{ type = "{one}" }}' for one in filters)
    text = CONFIG.replace('"keep"]', '"keep", "filtering"]').replace(
        'store = { type = "keeps" }', f'store = {{ type = "keeps" }}\nfilters = [{tables}]', 1
    )
    return await start(text, keep(), filtering())


async def test_what_a_filter_keeps_is_in_a_snapshot(start: Start) -> None:
    running = await serve(start, "layer")
    unit = running.daemon.inventory.units["a"]
    await Host(running).write(X)
    assert unit.stack is not None
    assert isinstance(unit.stack.top, Layer)
    assert unit.stack.top.kept
    store_of(running).calls.clear()
    await create_snapshot(unit, lambda _: "one", 5)
    assert store_of(running).calls == ["write", "flush", "flush", "flush", "create"], "the last one while it is paused"
    assert store_of(running).content[:512] == X
    with pytest.raises(
        StoreError,
        match="can't go back to a snapshot: layer stands on keeps and would not notice; "
        "remove it first: tgtadm filter remove a layer",
    ):
        await revert_snapshot(unit, "one", 5, force=True)


async def test_a_filter_that_is_told_forgets(start: Start) -> None:
    running = await serve(start, "hold", "power")
    host, unit = Host(running), running.daemon.inventory.units["a"]
    await host.write(X)
    await create_snapshot(unit, lambda _: "one", 5)
    await host.write(Y)
    assert unit.stack is not None
    power = unit.stack.top
    assert isinstance(power, Layer)
    await revert_snapshot(unit, "one", 5, force=True)
    assert power.kept == {}
    forget_attentions(host.nexus)
    assert await asyncio.to_thread(power.read, 0, 512) == X


async def test_a_filter_comes_on_a_store_that_keeps_snapshots(start: Start) -> None:
    running = await serve(start)
    unit = running.daemon.inventory.units["a"]
    running.text = running.text.replace("filters = []", 'filters = [{ type = "power" }]', 1)
    await running.apply()
    done = await create_snapshot(unit, lambda _: "one", 5)
    assert done.snapshot.name == "one"
