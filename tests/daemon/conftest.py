"""A daemon in memory, started from TOML."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import pytest_asyncio
from support.fakes import FakeStore, FakeTransport, fake_plugins

from tgtcore.config import parse
from tgtcore.daemon import Daemon, Edit, Kind, Step, Thing
from tgtcore.daemon.departures import Departure, Departures
from tgtcore.daemon.load import check_source
from tgtcore.transport import LocalDriver

AMPLE_S = 20.0
"""How long what does not hang may take: as long as a busy machine needs."""

_BEFORE = """
plugins = ["fake"PLUGINS]
[daemon]
state_directory = "STATE"
workers = 2
drain_s = 0.2
[transports.fake]
portals = [{ address = "one" }]
"""
_BEHIND = """
[targets."t.one"]
transport = "fake"
luns = ["a", "b"]
allow = { initiators = ["*"] }
"""


def configuration(units: str, *plugins: str) -> str:
    """Logical units, of which a target has those called a and b; with plugins besides the fakes."""
    return _BEFORE.replace("PLUGINS", "".join(f', "{name}"' for name in plugins)) + units + (_BEHIND if units else "")


def patient(text: str) -> str:
    """A configuration that gives what has to wait for commands or a store as long as a busy machine needs."""
    assert "drain_s = 0.2" in text
    return text.replace("drain_s = 0.2", f"drain_s = {AMPLE_S:g}")


CONFIG = configuration(
    """
[logical_units.a]
device_type = "fake"
store = { type = "memory" }
[logical_units.b]
device_type = "fake"
store = { type = "through", base = { type = "memory" } }
"""
)


class Running:
    """A started daemon with the things that tests look at."""

    def __init__(self, daemon: Daemon, text: str, folder: Path) -> None:
        self.daemon = daemon
        self.text = text
        self.folder = folder

    @property
    def transport(self) -> FakeTransport:
        return cast(FakeTransport, cast(LocalDriver, self.daemon.inventory.transports["fake"]).transport)

    async def apply(self, *replacements: tuple[str, str], dry_run: bool = False) -> list[Step]:
        """Apply the configuration with some texts replaced by others."""
        text = self.text
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        return await self.daemon.apply(parse(text.encode(), self.folder), dry_run=dry_run)


Start = Callable[..., Awaitable[Running]]


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a daemon, with edits that come meanwhile; at the end of the test it stops, and nothing may be left."""
    running: list[Daemon] = []
    FakeStore.opened.clear()

    async def begin(text: str = CONFIG, *plugins: ModuleType, edits: Sequence[Edit] = ()) -> Running:
        text = text.replace("STATE", str(tmp_path / "state"))
        enabled = fake_plugins(*plugins)
        config = check_source(parse(text.encode(), tmp_path, "c.toml"), enabled)
        daemon = Daemon(enabled, config)
        await asyncio.gather(daemon.start(), *(daemon.edit(edit) for edit in edits))
        running.append(daemon)
        return Running(daemon, text, tmp_path)

    yield begin
    for daemon in running:
        if not daemon.stopping:
            assert await daemon.stop() == []
        assert all(store.closed for store in FakeStore.opened)


@pytest_asyncio.fixture
async def running(start: Start) -> Running:
    return await start()


Impatient = Callable[[Kind, str], None]


@pytest.fixture
def nobody_logs_out() -> Iterator[None]:
    """Initiators are hardly waited for when they are asked to log out; also at the end, when a test's own patches are undone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tgtcore.daemon.sessions._LOGOUT_S", 0.02)
        yield


@pytest.fixture
def ample_time(running: Running, nobody_logs_out: None) -> Iterator[None]:
    """What goes away may take as long as a busy machine needs."""
    inventory = running.daemon.inventory
    usual_s, inventory.drain_s = inventory.drain_s, AMPLE_S
    yield
    inventory.drain_s = usual_s


@pytest.fixture
def impatient(ample_time: None, monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """Call it with something that nobody is going to wait for when it goes away the next time; all the rest has ample time."""
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    hopeless: set[Thing] = set()
    begin = Departures.begin

    def begin_and_give_up(departures: Departures, thing: Thing, *how: Any, **more: Any) -> Departure:
        departure = begin(departures, thing, *how, **more)
        if thing in hopeless:
            hopeless.remove(thing)
            departure.patience.shorten(0)
        return departure

    monkeypatch.setattr(Departures, "begin", begin_and_give_up)
    return lambda kind, name: hopeless.add(Thing(kind, name))


TimePasses = Callable[[float], None]


@pytest_asyncio.fixture
async def time_passes(monkeypatch: pytest.MonkeyPatch) -> TimePasses:
    """Call it to put the clock of the loop forward by some seconds: what waits for so long waits no more."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: real() + sum(ahead))
    return ahead.append
