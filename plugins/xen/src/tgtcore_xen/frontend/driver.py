"""The driver of a virtual HBA in a guest: what it does with the store, as xen-scsifront of Linux 6.1 does."""

import asyncio
import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from tgtcore_xen.frontend.queue import Address
from tgtcore_xen.frontend.ring import GuestRing
from tgtcore_xen.platform.contract import Transaction, Watch
from tgtcore_xen.platform.emulated import EmulatedGuest, GuestState
from tgtcore_xen.vscsiif.layout import SEGMENTS
from tgtcore_xen.xenbus.states import State

_DEVICE = re.compile(r"([0-9]+):([0-9]+):([0-9]+):([0-9]+)")
_Ring = TypeVar("_Ring", bound=GuestRing)
_SEGMENTS_MAX = 128


class Driver(ABC, Generic[_Ring]):
    """Connects as soon as there is a back end, and does what that asks for, until it is closed.

    All of it happens on the loop of the guest's machine.

    :param number: of the virtual HBA: its node is ``device/vscsi/NUMBER`` of the guest.
    """

    protocol: ClassVar[str | None] = None
    """What it writes as ``protocol``; Linux writes nothing."""

    def __init__(self, guest: EmulatedGuest, number: int = 0) -> None:
        self.guest = guest
        self.number = number
        self.heeds = True
        """Whether it closes when the back end asks it to."""
        self.lets_go: Callable[[], Awaitable[None]] = _at_once
        """What it does before it closes: Linux waits for its commands, and writes caches back."""
        self.state: int = State.INITIALISING
        """What it has written as its state."""
        self.queue: _Ring | None = None
        """While it has a ring."""
        self.devices: dict[str, Address] = {}
        """Virtual devices that are there for the guest, by their node (dev-N)."""
        self.accepts: Callable[[Address], bool] = lambda _: True
        """Whether a device can be added; the back end is told."""
        self.segments_max = SEGMENTS
        """How many pages a command may have."""
        self._back = ""
        self._watches: list[Watch] = []
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_resuming = False
        self._is_paused = False
        """Whether it sends nothing: its guest was suspended, and no back end has said since that it is connected."""
        self._hears = False
        """Whether the back end has said anything since it is paused."""
        self._is_lost = False
        """Whether there was no back end when its guest went on: no other one is looked for."""
        self._saw_nodes = False
        """Whether it has nodes since it is lost."""
        guest.suspended.append(self._on_suspend)
        guest.resumed.append(self._on_resume)
        guest.died.append(self._on_death)

    @abstractmethod
    def make_ring(self) -> _Ring:
        """A ring for a new connection."""

    @property
    def folder(self) -> str:
        """Where its nodes are."""
        return f"{self.guest.home}/device/vscsi/{self.number}"

    # ---- its life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the driver."""
        self.state = State.INITIALISING
        self._woken.set()
        self._task = self.guest.loop.create_task(self._run())
        self._task.add_done_callback(lambda _: self._changed.set())

    async def connect(self, timeout_s: float = 10) -> None:
        """Load the driver, and wait until it is connected.

        :raises ConnectionRefusedError: the back end does not want that.
        :raises TimeoutError: there is no back end.
        """
        if self._task is None:
            self.start()
        await self.until(lambda: self.state in (State.CONNECTED, State.CLOSED), timeout_s)
        if self.state == State.CLOSED:
            raise ConnectionRefusedError(f"the back end has closed {self.folder}")

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until something about it holds.

        :raises TimeoutError: it does not.
        :raises ConnectionError: the front end has ended.
        """
        async with asyncio.timeout(timeout_s):
            while not holds():
                if self._task is None:
                    raise ConnectionResetError("the front end has ended")
                if self._task.done():
                    await self._task
                self._changed.clear()
                await self._changed.wait()

    async def unload(self) -> None:
        """Remove the driver: its state is closed, and nothing is in use any more."""
        if self.guest.state is GuestState.DEAD:
            return
        await self._stop()
        if self.state != State.CLOSED:
            await self._disconnect()
        await self._end_watches()

    def crash(self) -> None:
        """Stop looking at the store and at the ring, and leave everything as it is."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.queue is not None:
            self.queue.lose(ConnectionResetError("the front end has crashed"))
        self._changed.set()

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._end_watches()

    async def _end_watches(self) -> None:
        watches, self._watches = self._watches, []
        for watch in watches:
            await watch.end()

    def _on_death(self) -> None:
        if self.queue is not None:
            self.queue.lose(ConnectionResetError(f"the guest {self.guest.name} was destroyed"))
            self.queue = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._changed.set()

    def _on_suspend(self) -> None:
        self._is_paused, self._hears = self.queue is not None, False

    def _on_resume(self) -> None:
        self._is_resuming = True
        self._woken.set()

    async def ready(self) -> _Ring:
        """Its ring, as soon as there is room in it; while it is paused there is none.

        :raises ConnectionError: it is not connected.
        """
        while self._is_paused and self._task is not None and not self._task.done():
            self._changed.clear()
            await self._changed.wait()
        if self.queue is None:
            raise ConnectionResetError(f"{self.folder} is not connected")
        await self.queue.room()
        return self.queue

    # ---- the store --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._watch(self.folder)
        while True:
            await self._woken.wait()
            await self.guest.running.wait()
            self._woken.clear()
            try:
                await self._look()
            except (
                FileNotFoundError,
                PermissionError,
            ):  # nodes that were taken away, or are not ready: there will be an event
                continue
            self._changed.set()

    async def _watch(self, path: str, told: Callable[[str], None] | None = None) -> None:
        self._watches.append(await self.guest.store.watch(path, told or (lambda _: self._woken.set())))

    def _on_back(self, _: str) -> None:
        self._hears = True
        self._woken.set()

    async def _look(self) -> None:
        if self._is_resuming:
            await self._resume()
        if self._is_lost:
            await self._mourn()
            return
        if self.queue is None:
            if await self._number(f"{self.folder}/state") == State.INITIALISING:
                await self._probe()
            return
        if await self.guest.store.read(f"{self.folder}/state") is None:
            await self._disconnect()
            return
        if self._is_paused and not self._hears:
            return
        state = await self._number(f"{self._back}/state")
        react = _REACTIONS.get(state)
        if react is not None and (self.heeds or state != State.CLOSING):
            await react(self)

    async def _number(self, path: str) -> int:
        """What is no number is 0, as a node that is not there, or not for us."""
        try:
            value = await self.guest.store.read(path)
        except PermissionError:
            return 0
        return int(value) if value is not None and value.isascii() and value.isdigit() else 0

    async def _probe(self) -> None:
        back = await self.guest.store.read(f"{self.folder}/backend")
        if not back:
            return
        self._back = back
        await self._watch(f"{back}/state", self._on_back)
        await self._make_ring()

    async def _make_ring(self) -> None:
        self.queue = queue = self.make_ring()
        folder = self.folder

        async def work(transaction: Transaction) -> None:
            await transaction.write(f"{folder}/ring-ref", str(queue.reference))
            await transaction.write(f"{folder}/event-channel", str(queue.port))
            if self.protocol is not None:
                await transaction.write(f"{folder}/protocol", self.protocol)

        await self.guest.store.transact(work)
        await self._switch(State.INITIALISED)

    async def _switch(self, state: int) -> None:
        """A node that is not there is not made (``__xenbus_switch_state``)."""
        if self.state != state:
            self.state = state
            if await self.guest.store.read(f"{self.folder}/state") is not None:
                await self.guest.store.write(f"{self.folder}/state", str(int(state)))
        self._changed.set()

    async def _resume(self) -> None:
        """Look for the back end once, as ``xenbus_dev_resume`` does.  Commands are sent anew by whoever has sent them."""
        self._is_resuming = False
        await self._end_watches()
        await self._watch(self.folder)
        if self.queue is None:
            return
        back = await self.guest.store.read(f"{self.folder}/backend")
        if not back or await self.guest.store.read(back) is None:
            self._is_lost = True
            return
        self.queue.reset()
        self.queue.close()
        self.queue = None
        self.state = State.INITIALISING
        await self._probe()

    async def _mourn(self) -> None:
        """It hears of no back end, only that its nodes are taken away, once there were some (``xenbus_dev_changed``)."""
        there = await self.guest.store.read(f"{self.folder}/state") is not None
        if self._saw_nodes and not there:
            await self._disconnect()
        self._saw_nodes = there

    async def _on_connected(self) -> None:
        announced = await self._number(f"{self._back}/feature-sg-grant")
        self.segments_max = min(max(announced, SEGMENTS), _SEGMENTS_MAX)
        if self._is_paused:
            self._is_paused = False
            for name in await self._named(State.CONNECTED):
                await self._tell_device(name, State.CONNECTED)
        elif self.state == State.INITIALISED:
            await self._add_devices()
        await self._switch(State.CONNECTED)

    async def _on_closing(self) -> None:
        await self.lets_go()
        await self._disconnect()

    async def _on_reconfiguring(self) -> None:
        await self._remove_devices()
        await self._switch(State.RECONFIGURING)

    async def _on_reconfigured(self) -> None:
        await self._add_devices()
        await self._switch(State.CONNECTED)

    async def _add_devices(self) -> None:
        for name, address in (await self._named(State.INITIALISED)).items():
            accepted = self.accepts(address)
            if accepted:
                self.devices[name] = address
            await self._tell_device(name, State.CONNECTED if accepted else State.CLOSED)

    async def _remove_devices(self) -> None:
        for name in await self._named(State.CLOSING):
            if self.devices.pop(name, None) is not None:
                await self._tell_device(name, State.CLOSED)

    async def _tell_device(self, name: str, state: int) -> None:
        await self.guest.store.write(f"{self.folder}/vscsi-devs/{name}/state", str(int(state)))

    async def _named(self, state: int) -> Mapping[str, Address]:
        """Virtual devices that the back end has in a state."""
        found = {}
        folder = f"{self._back}/vscsi-devs"
        for name in await self.guest.store.list(folder):
            device = _DEVICE.fullmatch(await self.guest.store.read(f"{folder}/{name}/v-dev") or "")
            if device is not None and await self._number(f"{folder}/{name}/state") == state:
                found[name] = (int(device[2]), int(device[3]), int(device[4]))
        return found

    async def _disconnect(self) -> None:
        if self.queue is not None:
            self.queue.close()
            self.queue = None
        self.devices.clear()
        self._is_paused = self._is_lost = self._saw_nodes = False
        await self._end_watches()
        await self._watch(self.folder)
        with contextlib.suppress(OSError):  # the directory may have gone
            await self._switch(State.CLOSED)
        self._changed.set()


async def _at_once() -> None:
    pass


_REACTIONS: Mapping[int, Callable[[Driver[Any]], Awaitable[None]]] = {
    State.CONNECTED: Driver._on_connected,
    State.CLOSING: Driver._on_closing,
    State.CLOSED: Driver._disconnect,
    State.RECONFIGURING: Driver._on_reconfiguring,
    State.RECONFIGURED: Driver._on_reconfigured,
}
"""What it does about a state of the back end."""
