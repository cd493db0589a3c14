"""A daemon with logical units on a plugin that can be installed anew, and an initiator that uses them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from daemon.conftest import Running, Start, configuration, patient
from support.site import Site, file_store, site_on_the_path
from tgtcore_disk import Disk

from tgtcore import Task, hookimpl
from tgtcore.nexus import Nexus
from tgtcore.scsi.status import Status
from tgtcore.task import Attribute, State
from tgtcore.testing.initiator import forget_attentions

CONFIG = patient(
    configuration(
        """
[logical_units.a]
device_type = "disk"
store = { type = "acme", path = "a.img" }
[logical_units.b]
device_type = "disk"
store = { type = "acme", path = "b.img" }
""",
        "real",
        "acme",
    )
)

X, Y = b"x" * 512, b"y" * 512


class Command(Task):
    """A command whose data-out may be held back."""

    offered = b""
    held = True

    def want_data(self) -> None:
        if not self.held:
            self.give()

    def give(self) -> None:
        self.data_out = self.offered
        self.data_arrived()

    def done(self) -> None:
        self.data_in = bytes(self.data_in) if isinstance(self.data_in, bytes | bytearray) else b""


class Host:
    """An initiator with the LUNs of the target."""

    def __init__(self, running: Running) -> None:
        nexus = running.transport.log_in("t.one", "host")
        assert nexus is not None
        self.nexus: Nexus = nexus
        self.tag = 0
        forget_attentions(nexus)

    def start(self, cdb: str, data: bytes = b"", lun: int = 0, *, held: bool = True) -> Command:
        self.tag += 1
        raw = bytes.fromhex(cdb).ljust(16, b"\0")
        task = Command(self.nexus, lun << 48, self.tag, Attribute.SIMPLE, raw, len(data), 0 if data else 4096)
        task.offered, task.held = data, held
        self.nexus.submit(task)
        return task

    async def run(self, cdb: str, data: bytes = b"", lun: int = 0) -> Any:
        return await finished(self.start(cdb, data, lun, held=False))

    async def write(self, data: bytes, lun: int = 0, lba: int = 0) -> None:
        assert (await self.run(f"2a 00 {lba:08x} 00 0001", data, lun)).status == Status.GOOD

    async def read(self, lun: int = 0, lba: int = 0) -> bytes:
        task = await self.run(f"28 00 {lba:08x} 00 0001", lun=lun)
        assert task.status == Status.GOOD, task.sense.hex()
        data: bytes = task.data_in
        return data


async def finished(task: Command) -> Command:
    if task.state is not State.ENDED:
        ended = asyncio.Event()
        task.when_ended(ended.set)
        await asyncio.wait_for(ended.wait(), 10)
    return task


@pytest.fixture(autouse=True)
def _quickly(nobody_logs_out: None) -> None:
    """At the end."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for name in "ab":
        (tmp_path / f"{name}.img").write_bytes(bytes(1 << 20))
    with site_on_the_path(tmp_path / "site") as site:
        yield site


def real() -> ModuleType:
    """A plugin with the disk."""
    module = ModuleType("real")

    @hookimpl
    def tgt_register_device_types(registry: Any) -> None:
        registry.device_type("disk", Disk)

    module.tgt_register_device_types = tgt_register_device_types  # type: ignore[attr-defined]
    return module


Serve = Callable[[str], Awaitable[Running]]


@pytest_asyncio.fixture
async def serve(start: Start, site: Site) -> Serve:
    async def begin(text: str) -> Running:
        first = text[text.index("[daemon]") : text.index("[logical_units")]
        running = await start(f'plugins = ["fake", "real"]\n{first}', real())
        running.text = text.replace("STATE", str(running.folder / "state"))
        await running.apply()
        return running

    return begin


@pytest_asyncio.fixture
async def running(serve: Serve, site: Site) -> Running:
    site.install("acme-store", "acme", file_store(1))
    return await serve(CONFIG)


@pytest.fixture
def host(running: Running) -> Host:
    return Host(running)


def version(running: Running, unit: str = "a") -> int:
    store = running.daemon.inventory.units[unit].store
    assert store is not None
    found: int = store.store.version  # type: ignore[attr-defined]
    return found


def attentions(host: Host, lun: int = 0) -> list[tuple[int, int]]:
    itl = host.nexus.itl(lun)
    assert itl is not None
    return list(itl.attentions)
