"""Flushing the store of a live logical unit before something is done to it."""

import asyncio

from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.stores import explain
from tgtcore.errors import StoreError
from tgtcore.leases import Job
from tgtcore.store import OpenStore


async def flush(unit: Unit) -> None:
    """Flush the whole stack; its store is in use until the call has returned, even when nobody waits for that any more.

    :raises StoreError: it can't be flushed.
    """
    assert unit.store is not None
    task = asyncio.ensure_future(_held_flush(unit.store, Job(f"a flush of {unit.lu}")))
    task.add_done_callback(
        lambda task: task.cancelled() or task.exception()
    )  # where nobody waits, closing flushes again
    try:
        await asyncio.shield(task)
    except Exception as error:
        raise StoreError(explain(f"{unit.lu} stays as it is, its store can't be flushed", error)) from error


async def _held_flush(store: OpenStore, holder: Job) -> None:
    with store.leases.lease(holder):
        await store.call(store.flush)
