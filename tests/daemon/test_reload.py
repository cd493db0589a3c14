"""New code beneath live logical units: everything that was acknowledged is there, and whatever fails, the old code serves on."""

import asyncio
import gc
import itertools
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from daemon.conftest import Running, Start
from support.fakes import FakeDevice
from support.site import Site, file_store
from tgtcore_disk import Disk

from tgtcore import Features, Task, hookimpl, signals
from tgtcore.daemon import swap
from tgtcore.daemon.inventory import Unit
from tgtcore.errors import ConfigError, DrainTimeout, PluginError, StoreError, TgtError
from tgtcore.nexus import Nexus
from tgtcore.plugins import Modules
from tgtcore.scsi import asc
from tgtcore.scsi.status import Status
from tgtcore.task import Attribute, State
from tgtcore.testing.initiator import forget_attentions

pytestmark = pytest.mark.asyncio

CONFIG = """
plugins = ["fake", "real", "acme"]
[daemon]
state_directory = "STATE"
workers = 2
drain_s = 0.2
[transports.fake]
portals = [{ address = "one" }]
[logical_units.a]
device_type = "disk"
store = { type = "acme", path = "a.img" }
[logical_units.b]
device_type = "disk"
store = { type = "acme", path = "b.img" }
[targets."t.one"]
transport = "fake"
luns = ["a", "b"]
allow = { initiators = ["*"] }
"""
X, Y = b"x" * 512, b"y" * 512
DISK = """
    from tgtcore import hookimpl
    from tgtcore_disk import Disk

    class Other(Disk):
        version = VERSION

    @hookimpl
    def tgt_register_device_types(registry):
        registry.device_type("other", Other)
"""


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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in "ab":
        (tmp_path / f"{name}.img").write_bytes(bytes(1 << 20))
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield Site(folder)
    left = Modules({name: module for name, module in sys.modules.items() if name.startswith("acme")})
    left.stop_listening()
    left.take_out()


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


async def test_what_was_acknowledged_is_there_and_nothing_is_told(running: Running, host: Host, site: Site) -> None:
    await host.write(X)
    late = host.start("2a 00 00000001 00 0001", Y)
    module = sys.modules["acme_store"]
    gone = [weakref.ref(thing) for thing in (module, module.Acme, module.AcmeOptions)]
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


async def test_a_unit_that_is_going_away_is_not_reloaded(running: Running, host: Host, site: Site) -> None:
    task = host.start("2a 00 00000000 00 0001", X, lun=1)
    unit = running.daemon.inventory.units["b"]
    assert unit.store is not None
    site.install("acme-store", "acme", file_store(2), "2.0")
    with unit.store.leases.lease("a flush for nobody"):
        with pytest.raises(DrainTimeout):
            await running.daemon.edit(without_b)
        with pytest.raises(ConfigError, match="logical unit b is still going away; try again later"):
            await running.daemon.reload_plugin("acme")
    assert task.state is State.ENDED
    assert version(running) == 1


def without_b(document: dict[str, Any]) -> None:
    del document["logical_units"]["b"]
    document["targets"]["t.one"]["luns"] = ["a"]


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
    flush = swap._flush

    async def release(unit: Unit) -> None:
        asyncio.get_running_loop().call_later(0.05, gate.set)
        await flush(unit)

    monkeypatch.setattr(swap, "_flush", release)
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
    flush = asyncio.ensure_future(swap._flush(unit))
    assert await asyncio.to_thread(begun.wait, 10)
    flush.cancel()
    await asyncio.gather(flush, return_exceptions=True)
    assert [holder.name for holder in unit.jobs()] == ["a flush before logical unit a is made anew"]
    gate.set()
    await asyncio.wait_for(unit.store.leases.released(holder.name for holder in unit.jobs()), 10)
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


async def test_a_device_type_is_reloaded_with_its_state(serve: Serve, site: Site) -> None:
    site.install("acme-store", "acme", file_store(1))
    site.install("acme-disk", "other", DISK.replace("VERSION", "1"))
    running = await serve(CONFIG.replace('"acme"]', '"acme", "other"]').replace('"disk"', '"other"'))
    host = Host(running)
    await host.write(X)
    device: Any = running.daemon.inventory.units["a"].lu.device
    assert (await host.run("1b 00 00 00 00")).status == Status.GOOD
    reads, gone = device.writes, weakref.ref(type(device))
    del device
    site.install("acme-disk", "other", DISK.replace("VERSION", "2"), "2.0")
    await running.daemon.reload_plugin("other")
    device = running.daemon.inventory.units["a"].lu.device
    assert (device.version, device.writes, version(running)) == (2, reads, 1)
    assert attentions(host) == [asc.MICROCODE_HAS_BEEN_CHANGED]
    forget_attentions(host.nexus)
    read = await host.run("28 00 00000000 00 0001")
    assert tuple(read.sense[12:14]) == asc.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED
    assert (await host.run("1b 00 00 00 01")).status == Status.GOOD
    assert await host.read() == X
    gc.collect()
    assert gone() is None


VERB = """
    @hookimpl
    def tgt_register_admin(commands):
        commands.add("acme two", lambda _: VERSION, help="-")
"""
MORE = """
    from tgtcore import hookimpl

    @hookimpl
    def tgt_vpd_pages(transport, lu):
        return {}
"""


async def test_plugins_of_one_distribution_are_reloaded_together(running: Running, host: Host, site: Site) -> None:
    body = file_store(2) + VERB.replace("VERSION", "2")
    site.install("acme-store", "acme", body, "2.0", acme_more=MORE)
    points = next(site.folder.glob("acme_store-2.0.dist-info")) / "entry_points.txt"
    points.write_text(points.read_text() + "more = acme_more\n")
    await running.daemon.reload_plugin("acme")
    await running.apply(('"acme"]', '"acme", "more"]'))
    steps = await running.daemon.reload_plugin("more")
    assert [step.name for step in steps] == ["acme", "more", "a", "b"]
    assert running.daemon.plugins.names == ["fake", "real", "acme", "more"]
    assert list(running.daemon.plugins.admin.found()) == ["acme two"]


AMENDS = """
    from tgtcore import BoundCommand, hookimpl

    def answer(device, task):
        task.data_in = bytes([VERSION])

    @hookimpl
    def tgt_amend_commands(transport, lu, commands):
        old = commands.slots[0x12]
        commands.replace(BoundCommand(old.command, answer, None))
"""


async def test_commands_are_amended_anew(running: Running, host: Host, site: Site) -> None:
    site.install("acme-amend", "amend", AMENDS.replace("VERSION", "1"))
    enabled = ('"acme"]', '"acme", "amend"]')
    answers = []
    await running.apply(enabled)
    answers.append((await host.run("12 00 00 00 24")).data_in)
    site.install("acme-amend", "amend", AMENDS.replace("VERSION", "2"), "2.0")
    await running.daemon.reload_plugin("amend")
    answers.append((await host.run("12 00 00 00 24")).data_in)
    site.install("acme-amend", "amend", AMENDS.replace("old = ", "old = 1 / 0 or "), "3.0")
    with pytest.raises(PluginError, match=r"tgt_amend_commands\(\) failed: ZeroDivisionError"):
        await running.daemon.reload_plugin("amend")
    answers.append((await host.run("12 00 00 00 24")).data_in)
    assert answers == [b"\1", b"\2", b"\2"]
    await running.apply()
    assert len((await host.run("12 00 00 00 24")).data_in) == 36


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
