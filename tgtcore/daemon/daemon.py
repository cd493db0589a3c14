"""The daemon: what is built, in which order, and how it goes away."""

import asyncio
import copy
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tgtcore import signals
from tgtcore.config import EMPTY, Config, Source, default_state_directory
from tgtcore.daemon.apply import Applier
from tgtcore.daemon.compare import Step, compare
from tgtcore.daemon.identities import Identities
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.load import check_source
from tgtcore.daemon.units import resize_unit
from tgtcore.errors import ConfigError, DrainTimeout
from tgtcore.leases import Leases
from tgtcore.loop import Workers
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
    """

    def __init__(self, plugins: Plugins, config: Config) -> None:
        self._first = config
        self._plugins = plugins
        self._config = EMPTY
        self._lock = asyncio.Lock()
        self._exit = AsyncExitStack()
        self._watched: list[Leases] = []
        self.started_at = asyncio.get_running_loop().time()
        self.stopping = False
        self.inventory: Inventory
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
        return self._plugins

    @property
    def state_directory(self) -> Path:
        """Where identities and reservations are kept."""
        return self._first.daemon.state_directory or default_state_directory()

    # ---- its life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Build everything, portals last; all of it, or nothing.

        :raises TgtError: what could not be built, and why.
        """
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as building:
            identities = Identities(self.state_directory)
            workers = Workers(self._first.daemon.workers, loop)
            building.push_async_callback(self._end_workers, workers)
            drain_s = self._first.daemon.drain_s
            self.inventory = Inventory(loop, self._plugins, workers, identities, self.state_directory, drain_s)
            self._applier = Applier(self.inventory)
            building.push_async_callback(self._remove_all)
            await self._applier.apply(compare(EMPTY, self._first))
            self._config = self._first
            self._exit = building.pop_all()

    async def stop(self) -> list[str]:
        """Let initiators finish and log out, then remove everything in order.

        :returns: who still holds a lease, which is a defect or a store that hangs; empty when all is well.
        """
        self.stopping = True
        signals.emit(signals.drain_started, self)
        async with self._lock:
            self._watched = list(self.inventory.leases())
            for transport in self.inventory.transports.values():
                await transport.stop_listening()
            await asyncio.gather(*(t.close(self.inventory.drain_s) for t in self.inventory.transports.values()))
            await self._exit.aclose()
        signals.emit(signals.drain_finished, self)
        return [f"{leases.what}: {holder.name}" for leases in self._watched for holder in leases.holders()]

    async def _remove_all(self) -> None:
        nothing = Config(plugins=self._config.plugins, daemon=self._config.daemon)
        try:
            await self._applier.apply(compare(self._config, nothing))
        except DrainTimeout as error:
            _log.error("%s", error)
        await self._applier.settle(self.inventory.drain_s)
        self._config = nothing

    async def _end_workers(self, workers: Workers) -> None:
        workers.close()
        if not await asyncio.to_thread(workers.join, _JOIN_S):
            _log.error("a worker thread is still busy with a store")

    # ---- changes ------------------------------------------------------------------------------------------------------

    async def apply(self, source: Source, *, dry_run: bool = False) -> list[Step]:
        """Make the daemon serve what a configuration says, changing only what differs.

        :param dry_run: only say what would be done.
        :raises ConfigError: the configuration has problems, or a step fails; nothing has changed.
        :raises DrainTimeout: all was done, but something removed is still in use.
        """
        async with self._lock:
            return await self._apply(source, dry_run)

    async def edit(self, edit: Edit, base: Path = Path("/")) -> list[Step]:
        """Change the configuration in force by a function on its document; otherwise as :meth:`apply`.

        :param base: the folder that relative paths count from, in what the function adds.
        """
        async with self._lock:
            document = copy.deepcopy(dict(self._config.document))
            edit(document)
            return await self._apply(Source(document, base), dry_run=False)

    async def _apply(self, source: Source, dry_run: bool) -> list[Step]:
        if self.stopping:
            raise ConfigError("the daemon is stopping; no changes any more")
        config = check_source(source, self._plugins)
        steps = compare(self._config, config)
        if dry_run:
            return steps
        try:
            await self._applier.apply(steps)
        except DrainTimeout:
            self._config = config
            raise
        self._config = config
        if steps:
            _log.info("changed: %s", "; ".join(map(str, steps)))
            signals.emit(signals.config_reloaded, self)
        return steps

    async def resize(self, name: str, size_bytes: int) -> int:
        """Change the size of a logical unit's store; returns the size that it has now.

        :raises StoreError: the store can't, or won't.
        """
        async with self._lock:
            return await resize_unit(self.inventory, name, size_bytes)
