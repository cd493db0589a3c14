"""A transport, a device type and a store that need neither network nor disk: enough to build a daemon in memory."""

from collections.abc import Collection
from types import ModuleType
from typing import Any, ClassVar

from pydantic import BaseModel

from tgtcore import (
    DeviceType,
    Filter,
    Host,
    InitiatorPort,
    Nexus,
    Options,
    PortalInfo,
    SessionInfo,
    Store,
    Target,
    TargetPort,
    Task,
    Transport,
    command,
    hookimpl,
)
from tgtcore.plugins import Plugins, Record


class MemoryOptions(Options):
    size: int = 1 << 20
    fails: str = ""
    path: str = ""


class FakeStore(Store):
    """Bytes in memory; remembers whether it was closed."""

    Options: ClassVar[type[BaseModel]] = MemoryOptions
    opened: ClassVar[list["FakeStore"]] = []

    def __init__(self, options: MemoryOptions) -> None:
        if options.fails:
            raise OSError(2, "No such file or directory", options.fails)
        self.size_bytes = options.size
        self.data = bytearray(options.size)
        self.closed = self.unmade = False
        FakeStore.opened.append(self)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: Any) -> None:
        self.data[offset : offset + len(data)] = data

    def flush(self) -> None:
        return

    def resize(self, size_bytes: int) -> None:
        self.data = bytearray(size_bytes)
        self.size_bytes = size_bytes

    def unmake(self) -> None:
        assert not self.closed
        self.unmade = True

    def close(self) -> None:
        self.closed = True


class Through(Filter):
    """A filter that hands reads on."""

    def __init__(self, base: Store, options: BaseModel) -> None:
        super().__init__(base, options)
        self.size_bytes = base.size_bytes
        self.closed = False

    def read(self, offset: int, length: int) -> Any:
        return self.base.read(offset, length)

    def close(self) -> None:
        assert not getattr(self.base, "closed", False), "a base may not be closed before what stands on it"
        self.closed = True


class DeviceOptions(Options):
    block_size: int = 512
    refuses: bool = False


class FakeDevice(DeviceType):
    """One command: a TEST UNIT READY that waits until it is aborted or told."""

    code: ClassVar[int] = 0x1F
    Options: ClassVar[type[BaseModel]] = DeviceOptions

    def __init__(self, lu: Any, store: Any, options: DeviceOptions) -> None:
        super().__init__(lu, store, options)
        if options.refuses:
            raise ValueError("this device refuses the store")
        self.resized = 0

    @command(0x00, "00 00 00 00 00 00")
    def test_unit_ready(self, task: Task) -> None:
        return

    def capacity_changed(self) -> None:
        self.resized += 1


class TransportOptions(Options):
    portals: tuple[dict[str, Any], ...] = ()


class TargetOptions(Options):
    secret: str = ""


class FakeTransport(Transport):
    """Keeps what it is told; a portal with the address ``taken`` can't be opened."""

    Options: ClassVar[type[BaseModel]] = TransportOptions
    TargetOptions: ClassVar[type[BaseModel]] = TargetOptions
    protocol: ClassVar[int] = 5

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self.log: list[str] = []
        self.open: list[str] = []
        self.came_through: dict[Nexus, str] = {}
        """The portals of those who have not come through all of them."""

    @classmethod
    def check_target_name(cls, name: str) -> str | None:
        return None if name.startswith("t.") else 'expected a name such as "t.one"'

    def target_ports(self, target: Target) -> list[TargetPort]:
        return [TargetPort(f"{target.name},{number}", number, number, 5) for number, _ in enumerate(self.open, 1)]

    async def start(self) -> None:
        self._open(self.options)
        self.log.append("start")

    async def apply_options(self, options: BaseModel) -> None:
        self._open(options)
        self.options = options

    async def stop_listening(self) -> None:
        self.open = []

    def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        self.log.append(f"ask {' '.join(sorted(session_ids))}")

    async def drop_target(self, target: Target) -> None:
        self.log.append(f"drop {target.name}")
        for nexus in list(target.nexuses):
            nexus.close(lambda: None)

    async def close(self) -> None:
        self.log.append("close")
        for target in self.host.targets():
            for nexus in list(target.nexuses):
                nexus.close(lambda: None)

    async def drop_session(self, session_id: str) -> bool:
        dropped = [session.nexus for session in self.sessions() if session.id == session_id]
        for nexus in dropped:
            assert nexus is not None
            nexus.close(lambda: None)
            await nexus.target.leases.released([nexus])
        return bool(dropped)

    def portals(self) -> list[PortalInfo]:
        return [PortalInfo(address, 1) for address in self.open]

    def sessions(self) -> list[SessionInfo]:
        return [
            SessionInfo(
                f"{nexus.initiator_port.name}@{target.name}",
                target.name,
                nexus.initiator_port.name,
                nexus.initiator_port.address,
                len(nexus.tasks),
                portal=self.came_through.get(nexus, ""),
                nexus=nexus,
            )
            for target in self.host.targets()
            for nexus in target.nexuses
        ]

    def urls(self, target: Target, lun: int) -> list[str]:
        return [f"fake://{address}/{target.name}/{lun}" for address in self.open]

    def log_in(self, target: str, initiator: str, address: str = "127.0.0.1", port_id: bytes = b"") -> Nexus | None:
        """What a login does; None when it is refused.

        :param port_id: of one of several ports of the initiator.
        """
        found = self.host.find_target(target)
        port = InitiatorPort(initiator, initiator.encode() + port_id, address)
        if found is None or not self.host.admits(found, port, "portal"):
            return None
        return self.host.open_nexus(found, port, TargetPort(f"{target},1", 1, 1, 5))

    def _open(self, options: BaseModel) -> None:
        assert isinstance(options, TransportOptions)
        addresses = [str(portal["address"]) for portal in options.portals]
        if "taken" in addresses:
            raise OSError(98, "portal taken: Address already in use")
        self.open = addresses


class HeldTask(Task):
    """A task whose end is noted."""

    ended = False

    def done(self) -> None:
        self.ended = True

    def want_data(self) -> None:
        raise AssertionError("no command here has data-out")


def fake_module(name: str = "fake", **members: Any) -> ModuleType:
    """A plugin that offers everything above."""
    module = ModuleType(name)

    @hookimpl
    def tgt_register_transports(registry: Any) -> None:
        registry.transport("fake", FakeTransport)

    @hookimpl
    def tgt_register_device_types(registry: Any) -> None:
        registry.device_type("fake", FakeDevice)

    @hookimpl
    def tgt_register_stores(registry: Any) -> None:
        registry.store("memory", FakeStore)

    @hookimpl
    def tgt_register_filters(registry: Any) -> None:
        registry.filter("through", Through)

    for hook in (tgt_register_transports, tgt_register_device_types, tgt_register_stores, tgt_register_filters):
        setattr(module, hook.__name__, hook)
    for member, value in members.items():
        setattr(module, member, value)
    return module


def record(module: ModuleType) -> Record:
    """A plugin as if it had been installed and imported."""
    return Record(module.__name__, f"tgtcore-{module.__name__}", "1.0", module.__name__, module)


def fake_plugins(*more: ModuleType) -> Plugins:
    """Enabled plugins: the fake one and others."""
    return Plugins([record(module) for module in (fake_module(), *more)])
