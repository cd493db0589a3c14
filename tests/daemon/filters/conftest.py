"""A daemon with a disk in memory that has filters, and an initiator that uses it."""

from typing import Any

import pytest
import pytest_asyncio
from daemon.conftest import Running, Start, configuration, patient
from daemon.reload.conftest import Host, real
from support.fake_filters import filtering

from tgtcore.daemon.inventory import Unit

UNITS = """
[logical_units.a]
device_type = "disk"
store = { type = "memory" }
filters = []
[logical_units.b]
device_type = "disk"
store = { type = "both", base = { type = "power", base = { type = "memory" } } }
"""
CONFIG = patient(configuration(UNITS, "real", "filtering"))


@pytest.fixture(autouse=True)
def _quickly(nobody_logs_out: None) -> None:
    """At the end."""


@pytest_asyncio.fixture
async def running(start: Start) -> Running:
    return await start(CONFIG, real(), filtering())


@pytest.fixture
def host(running: Running) -> Host:
    return Host(running)


@pytest.fixture
def unit(running: Running) -> Unit:
    return running.daemon.inventory.units["a"]


async def have(running: Running, *filters: str) -> None:
    """Let the first disk have other filters."""
    tables = ", ".join(one if one.startswith("{") else f'{{ type = "{one}" }}' for one in filters)
    await running.apply(("filters = []", f"filters = [{tables}]"))


def named(unit: Unit) -> dict[str, Any]:
    """The filters of a disk."""
    return {part.config.name: part.filter for part in unit.filters}


def memory(unit: Unit) -> bytearray:
    """What its store holds."""
    assert unit.stack is not None
    data: bytearray = unit.stack.stores[0].data  # type: ignore[attr-defined]
    return data
