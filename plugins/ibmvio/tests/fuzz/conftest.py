"""A transport with emulated adapters, some for whoever is hostile, one for a neighbour with verified I/O."""

import logging
from contextlib import asynccontextmanager

import pytest_asyncio

from .siege import LEAST_BYTES, Siege


@asynccontextmanager
async def besieged(directory, caplog, memory_bytes):
    for name in ("tgtcore", "tgtcore_srp", "tgtcore_ibmvio"):
        caplog.set_level(logging.ERROR, name)
    made = Siege(directory, memory_bytes)
    await made.begin()
    yield made
    await made.end()
    assert caplog.get_records("call") == caplog.get_records("teardown") == []


@pytest_asyncio.fixture
async def siege(tmp_path, caplog):
    """With memory for all clients, whatever three of them take."""
    async with besieged(tmp_path, caplog, 64 << 20) as made:
        yield made


@pytest_asyncio.fixture
async def poor_siege(tmp_path, caplog):
    """With as little memory as can be configured."""
    async with besieged(tmp_path, caplog, LEAST_BYTES) as made:
        yield made
