"""The daemon: what is built, in which order, and how it goes away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tgtcore import signals
from tgtcore.config import EMPTY, Config, Source, default_state_directory, plugin_names
from tgtcore.daemon.apply import Applier
from tgtcore.daemon.built import built_by
from tgtcore.daemon.compare import Step, compare
from tgtcore.daemon.departures import Departure, Departures
from tgtcore.daemon.drains import draining, portal_sessions, reopen
from tgtcore.daemon.ending import remove_everything
from tgtcore.daemon.identities import Identities
from tgtcore.daemon.inheritance import Inheritance
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.load import check_source, problems_with_plugins
from tgtcore.daemon.plugin_sets import PluginChange
from tgtcore.daemon.reload import Reload
from tgtcore.daemon.remains import without
from tgtcore.daemon.things import Kind, Thing
from tgtcore.daemon.units import resize_unit
from tgtcore.daemon.users import users_of
from tgtcore.errors import ConfigError, Draining, DrainTimeout, StoreError, TgtError
from tgtcore.loop import Workers, uncollected
from tgtcore.plugins import Plugins

_log = logging.getLogger(__name__)

_JOIN_S = 5
"""How long a worker thread may take to end when no job is left."""

Edit = Callable[[dict[str, Any]], None]
"""Changes a configuration document in place."""


class Daemon:
    """Everything that serves, between :meth:`start` and :meth:`stop`.

    What the daemon serves is always what its configuration says: every change is a change of the configuration, checked as a whole
    and then carried out step by step.

    :param plugins: the enabled plugins.
    :param config: what to serve.
    :param inheritance: what transports and logical units may take over; what nobody wants is closed at the end of the start.
    """

    def __init__(self, plugins: Plugins, config: Config, inheritance: Inheritance | None = None) -> None:
        self._first: tuple[Plugins, Config] | None = plugins, config
        self._options = config.daemon
        self._config = EMPTY
        self._checked = EMPTY
        """The last configuration that was carried out, as it was checked with the plugins in force."""
        self._inheritance = inheritance or Inheritance()
        self._lock = asyncio.Lock()
        self._exit = AsyncExitStack()
        self._changing: asyncio.Task[Any] | None = None
        self._left: list[str] = []
        self._last_units: list[Unit] = []
        self.started_at = asyncio.get_running_loop().time()
        self.serving = False
        """From the end of the start to the end of the stop."""
        self.stopping = False
        self.inventory: Inventory
        self._departures: Departures
        self._applier: Applier

    def __str__(self) -> str:
        return "tgtd"

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def plugins(self) -> Plugins:
        """The enabled plugins."""
        return self.inventory.plugins

    @property
    def state_directory(self) -> Path:
        """Where identities and reservations are kept."""
        return self._options.state_directory or default_state_directory()

    # ---- its life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Build everything, portals last; all of it, or nothing.

        :raises TgtError: what could not be built, and why.
        """
        async with self._lock, AsyncExitStack() as building:
            identities = Identities(self.state_directory)
            loop = asyncio.get_running_loop()
            workers = Workers(self._options.workers, loop)
            building.push_async_callback(self._end_workers, workers)
            assert self._first is not None, "a daemon starts once"
            (plugins, config), self._first = self._first, None
            inventory = Inventory(
                loop, plugins, workers, identities, self.state_directory, config.daemon.drain_s, self._inheritance
            )
            self.inventory = inventory
            self._departures = Departures(lambda: inventory.drain_s)
            self._applier = Applier(inventory, self._departures)
            building.push_async_callback(self._remove_all)
            leaving = await self._applier.apply(compare(EMPTY, config))
            assert not leaving, "nothing was removed"
            self._inheritance.close()
            self._config = self._checked = config
            self.serving = True
            self._exit = building.pop_all()

    async def stop(self) -> list[str]:
        """Let initiators finish and log out, then remove everything in order, whatever fails on the way.

        Ends in a bounded time: a change that is under way, and a store or transport that hangs, are given up.

        :returns: what is still in use or not gone, which is a defect or something that hangs; empty when all is well.
        """
        self.stopping = True
        signals.emit(signals.drain_started, self)
        await self._end_changes()
        try:
            leases = list(self.inventory.leases())
            units = self._last_units = list(self.inventory.units.values())
            await self._exit.aclose()
        finally:
            self._lock.release()
        self.serving = False
        signals.emit(signals.drain_finished, self)
        return [
            *(f"{one.what}: {holder.name}" for one in leases for holder in one.holders()),
            *(f"{unit.store}: {holder.name}" for unit in units for holder in unit.jobs()),
            *(f"{unit.lu}: {unit.lu.missing} commands have vanished" for unit in units if unit.lu.missing),
            *self._left,
        ]

    def last_reservations(self) -> dict[bytes, dict[str, Any]]:
        """After :meth:`stop`: the reservations of each logical unit by unique id, for an :class:`Inheritance`."""
        return {unit.lu.identity.unique_id: unit.lu.reservations.hand_over() for unit in self._last_units}

    async def _end_changes(self) -> None:
        """Take the lock: wait for the change that is under way, and give it up when it takes too long."""
        try:
            async with asyncio.timeout(self._departures.timeout_s):
                await self._lock.acquire()
        except TimeoutError:
            _log.error("a change of the configuration takes too long; it is given up")
            if self._changing is not None:
                self._changing.cancel()
            await self._lock.acquire()

    async def _remove_all(self) -> None:
        self._left = await remove_everything(self.inventory, self._departures)
        self._left += await self._departures.give_up()
        self._config = EMPTY

    async def _end_workers(self, workers: Workers) -> None:
        workers.close()
        if not await asyncio.to_thread(workers.join, _JOIN_S):
            self._left.append("a worker thread: it has not returned from a store")

    # ---- changes ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        """One change at a time, between start and stop."""
        async with self._lock:
            if self.stopping or not self.serving:
                raise ConfigError("the daemon is stopping; no changes any more")
            self._changing = asyncio.current_task()
            try:
                yield
            finally:
                self._changing = None

    async def apply(self, source: Source, *, dry_run: bool = False, deadline_s: float | None = None) -> list[Step]:
        """Make the daemon serve what a configuration says, changing only what differs.

        :param dry_run: only say what would be done.
        :param deadline_s: how long commands may take to end by themselves where something is removed; by default ``drain_s``.
        :raises ConfigError: the configuration has problems, or a step fails; nothing has changed.
        :raises DrainTimeout: all was done, but something removed is still in use.
        :raises StoreError: all was done, but something removed was not closed cleanly.
        """
        async with self._change():
            steps, leaving = await self._apply(source, dry_run, deadline_s)
        await self._seen_off(leaving)
        return steps

    async def edit(
        self, edit: Edit, base: Path = Path("/"), *, dry_run: bool = False, deadline_s: float | None = None
    ) -> list[Step]:
        """Change the configuration in force by a function on its document; otherwise as :meth:`apply`.

        :param edit: raises a :class:`~tgtcore.errors.TgtError` when the document does not allow the change.
        :param base: the folder that relative paths count from, in what the function adds.
        """
        async with self._change():
            steps, leaving = await self._edit(edit, base, deadline_s, dry_run=dry_run)
        await self._seen_off(leaving)
        return steps

    async def _edit(
        self, edit: Edit, base: Path, deadline_s: float | None, *, dry_run: bool = False
    ) -> tuple[list[Step], "_Leaving"]:
        with uncollected():
            document = await asyncio.to_thread(self._config.editable)
        edit(document)
        return await self._apply(Source(document, base), dry_run, deadline_s)

    async def check(self, source: Source) -> Config:
        """Check a configuration with the plugins that it names; nothing changes.

        :raises ConfigError: every problem of it.
        """
        async with self._change(), self._plugins_of(source) as plugins:
            return await asyncio.to_thread(check_source, source, plugins.plugins)

    async def reload_plugin(self, name: str, timeout_s: float | None = None) -> list[Step]:
        """Replace the code of a plugin by what is installed now, beneath live logical units; all of it, or nothing.

        :param timeout_s: how long commands that run may take to end, for each logical unit; by default ``drain_s``.
        :raises TgtError: see :meth:`tgtcore.daemon.reload.Reload.run`; the old code serves on.
        """
        async with self._change():
            timeout_s = self.inventory.drain_s if timeout_s is None else timeout_s
            reload = Reload(self.inventory, self._config, name, timeout_s)
            self._config, steps = await reload.run()
            self._checked = EMPTY
            _log.info("%s", "; ".join(map(str, steps)))
            return steps + await reload.restart_drivers(self._config)

    @asynccontextmanager
    async def _plugins_of(self, source: Source) -> AsyncIterator[PluginChange]:
        """The plugins that a configuration names; what was loaded for it goes again, unless they are in force at the end."""
        with problems_with_plugins(source):
            change = await PluginChange.to(self.plugins, plugin_names(source))
        try:
            yield change
        finally:
            if self.plugins is not change.plugins:
                change.discard()

    async def _apply(self, source: Source, dry_run: bool, deadline_s: float | None) -> tuple[list[Step], "_Leaving"]:
        async with self._plugins_of(source) as plugins:
            with uncollected():
                config, steps = await asyncio.to_thread(self._planned, source, plugins.plugins)
            if dry_run:
                return steps, ([], [])
            try:
                leaving = await self._applier.apply(steps, plugins, deadline_s)
            except Exception:
                self._config = without(self._config, self._applier.lost)
                raise
            self._config = self._checked = config
        if steps:
            _log.info("changed: %s", "; ".join(map(str, steps)))
            signals.emit(signals.config_reloaded, self)
        return steps, (leaving, self._applier.complaints)

    async def _seen_off(self, leaving: "_Leaving") -> None:
        """Wait for what is going away, while others may change other things."""
        departures, complaints = leaving
        complaints = [*complaints, *await self._departures.outcome(departures)]
        if complaints:
            raise _combined(complaints)

    # ---- what goes away -----------------------------------------------------------------------------------------------

    @property
    def departures(self) -> Departures:
        """What is going away."""
        return self._departures

    async def remove(self, thing: Thing, edit: Edit, deadline_s: float | None = None) -> list[Step]:
        """Remove a thing by a change of the configuration; with somebody else who is removing it, wait for its end.

        The sessions that came through a portal end with it; a change by :meth:`edit` or :meth:`apply` lets them go on.

        :param edit: takes it out of the document.
        :param deadline_s: how long commands may take to end by themselves; by default ``drain_s``.  Of several deadlines for one
            thing the earliest counts.
        :raises TgtError: as :meth:`edit`.
        """
        async with self._change():
            going = self._departures.of(thing)
            if going is not None and going.step is not None:
                going.patience.shorten(self.inventory.drain_s if deadline_s is None else deadline_s)
                steps = [going.step]
                leaving: _Leaving = [going], []
            else:
                sessions = await portal_sessions(self.inventory, thing) if thing.kind is Kind.PORTAL else None
                steps, leaving = await self._edit(edit, Path("/"), deadline_s)
                if sessions is not None:
                    leaving[0].append(self._departures.begin(thing, *sessions, deadline_s=deadline_s, step=steps[0]))
        await self._seen_off(leaving)
        return steps

    def _planned(self, source: Source, plugins: Plugins) -> tuple[Config, list[Step]]:
        """The configuration of a source and how to get there; on a thread, for a large one takes its time.

        What has not changed is not checked again: with thousands of logical units that would take seconds, for one of them.
        """
        config = check_source(source, plugins, self._checked if plugins is self.plugins else EMPTY)
        return config, compare(self._config, config)

    async def drain(self, thing: Thing, deadline_s: float | None = None) -> None:
        """Let nobody new use a thing, and wait until nobody does; it stays configured, until :meth:`reopen` or a restart.

        A plugin is drained by draining what was built by it.  A session that is drained is gone.

        :param deadline_s: as in :meth:`remove`.
        :raises NotThere: it is not there.
        :raises Draining: it is being removed, or what it belongs to.
        :raises DrainTimeout: it is still in use; its door stays shut.
        """
        async with self._change():
            things = built_by(self.inventory, thing.name) if thing.kind is Kind.PLUGIN else [thing]
            leaving: list[Departure] = []
            for one in things:
                before = tuple(leaving) if one.kind is Kind.LOGICAL_UNIT else ()
                leaving.append(await self._drain(one, deadline_s, before))
        await self._seen_off((leaving, []))

    async def _drain(self, thing: Thing, deadline_s: float | None, after: tuple[Departure, ...]) -> Departure:
        self._check_stays(thing)
        going = self._departures.of(thing)
        if going is not None:
            going.patience.shorten(self.inventory.drain_s if deadline_s is None else deadline_s)
            return going
        users = await users_of(self.inventory, thing)
        leave = await draining(self.inventory, self._config, thing)
        return self._departures.begin(thing, leave, users, deadline_s=deadline_s, after=after)

    async def reopen(self, thing: Thing) -> None:
        """Let a drained thing take users again; one that is not drained is open already.

        :raises NotThere: it is not there.
        :raises Draining: it is being removed, or what it belongs to.
        :raises ConfigError: a portal can't be opened.
        """
        async with self._change():
            things = built_by(self.inventory, thing.name) if thing.kind is Kind.PLUGIN else [thing]
            for one in reversed(things):
                await self._reopen(one)

    async def _reopen(self, thing: Thing) -> None:
        self._check_stays(thing)
        going = self._departures.of(thing)
        if going is not None:
            going.task.cancel()
        await users_of(self.inventory, thing)  # raises when it is not there
        if thing in self.inventory.drained:
            await reopen(self.inventory, self._config, thing)

    def _check_stays(self, thing: Thing) -> None:
        for one in filter(None, (thing, thing.whole)):
            if one in self._departures:
                raise Draining(f"{one} is being removed")

    def state_of(self, thing: Thing) -> str:
        """``going away``, ``draining``, ``drained``, or nothing when it is open."""
        going = self._departures.of(thing)
        if going is not None:
            return going.state
        return "drained" if thing in self.inventory.drained else ""

    # ---- sizes --------------------------------------------------------------------------------------------------------

    async def resize(self, name: str, size_bytes: int) -> int:
        """Change the size of a logical unit's store; returns the size that it has now.

        :raises DrainTimeout: a store or a command takes too long; the resize goes on by itself.
        :raises StoreError: the store can't, or won't.
        """
        async with self._change():
            return await resize_unit(self.inventory, name, size_bytes, self._departures.timeout_s)


_Leaving = tuple[list[Departure], list[TgtError]]
"""What is going away, and what there is to complain of already."""


def _combined(complaints: list[TgtError]) -> TgtError:
    """Several complaints as one."""
    if len(complaints) == 1:
        return complaints[0]
    text = "\n".join(map(str, complaints))
    late = [error for error in complaints if isinstance(error, DrainTimeout)]
    return DrainTimeout(text, [holder for error in late for holder in error.holders]) if late else StoreError(text)
