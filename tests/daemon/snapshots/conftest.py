"""A daemon with disks on a store that keeps snapshots, and initiators that use them."""

import threading
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, cast

import pytest
import pytest_asyncio
from daemon.conftest import Running, Start, configuration
from daemon.reload.conftest import Host
from pydantic import BaseModel
from tgtcore_disk import Disk

from tgtcore import Buffer, Filter, Options, SnapshotInfo, Store, hookimpl
from tgtcore.testing.ram import SnapshotRamStore

CONFIG = configuration(
    """
[logical_units.a]
device_type = "disk"
store = { type = "keeps" }
[logical_units.b]
device_type = "disk"
store = { type = "clear", base = { type = "keeps" } }
[logical_units.c]
device_type = "disk"
store = { type = "memory" }
[logical_units.d]
device_type = "disk"
read_only = true
store = { type = "keeps" }
""",
    "keep",
).replace("workers = 2", "workers = 4")  # some wait for the test

X, Y = b"x" * 512, b"y" * 512


class Keeps(SnapshotRamStore):
    """A store whose calls wait for the test; it notes what it is told, and may fail."""

    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, options: BaseModel) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}
        self.failure: Exception | None = None
        self.closed = False

    def gate(self, name: str) -> threading.Event:
        """Let calls of this name wait from now on; returns what tells that one has begun."""
        self.gates[name] = threading.Event()
        self.begun[name] = threading.Event()
        return self.begun[name]

    def open(self) -> None:
        """Let everything go on."""
        for gate in self.gates.values():
            gate.set()
        self.gates = {}

    def _told(self, name: str) -> None:
        self.calls.append(name)
        if name in self.gates:
            self.begun[name].set()
            assert self.gates[name].wait(10)
        if self.failure is not None and name != "flush":
            raise self.failure

    def write(self, offset: int, data: Buffer) -> None:
        self._told("write")
        super().write(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return False

    def flush(self) -> None:
        self._told("flush")
        super().flush()

    def create_snapshot(self, name: str) -> SnapshotInfo:
        self._told("create")
        return super().create_snapshot(name)

    def delete_snapshot(self, id_or_name: str) -> None:
        self._told("delete")
        super().delete_snapshot(id_or_name)

    def revert_snapshot(self, id_or_name: str) -> None:
        self._told("revert")
        super().revert_snapshot(id_or_name)

    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        content = self.snapshots[self._find(id_or_name)]
        half = len(content) // 2
        try:
            self._told("first half")
            yield half
            self._told("second half")
            path.write_bytes(content)
            yield len(content)
        finally:
            self.calls.append("end of the copy")

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class Clear(Filter):
    """A filter that passes reads and writes on."""

    def __init__(self, base: Store, options: BaseModel) -> None:
        super().__init__(base, options)
        self.size_bytes = base.size_bytes

    def read(self, offset: int, length: int) -> Buffer:
        return self.base.read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        self.base.write(offset, data)

    def flush(self) -> None:
        self.base.flush()


def keep() -> ModuleType:
    """The plugin that offers them."""
    module = ModuleType("keep")

    @hookimpl
    def tgt_register_device_types(registry: Any) -> None:
        registry.device_type("disk", Disk)

    @hookimpl
    def tgt_register_stores(registry: Any) -> None:
        registry.store("keeps", Keeps)

    @hookimpl
    def tgt_register_filters(registry: Any) -> None:
        registry.filter("clear", Clear)

    for hook in (tgt_register_device_types, tgt_register_stores, tgt_register_filters):
        setattr(module, hook.__name__, hook)
    return module


@pytest_asyncio.fixture
async def running(start: Start) -> Running:
    return await start(CONFIG, keep())


@pytest.fixture
def host(running: Running) -> Host:
    return Host(running)


def store_of(running: Running, name: str = "a") -> Keeps:
    stack = running.daemon.inventory.units[name].stack
    assert stack is not None
    return cast(Keeps, stack.stores[0])
