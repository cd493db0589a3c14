"""Running the daemon in the foreground: signals, readiness, the management socket, the end."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tgtcore.cli.logs import set_up_logging
from tgtcore.cli.readiness import summary
from tgtcore.config import Config, Source, default_socket, read
from tgtcore.daemon import Daemon, Inheritance, InheritedSocket
from tgtcore.errors import TgtError
from tgtcore.management.server import Server
from tgtcore.management.verbs import run as run_verb
from tgtcore.plugins import Plugins
from tgtcore.service import Notifier, Watchdog, socket_address, take_given

_log = logging.getLogger("tgtd")

Ready = Callable[[Daemon, Path], Awaitable[None]]
"""Called once, when everything is served; with the path of the management socket."""


def run(
    plugins: Plugins,
    config: Config,
    ready: Ready,
    *,
    stopping: Callable[[], None] = lambda: None,
    reload_from: Path | None = None,
    private: Path | None = None,
) -> int:
    """Serve until a signal comes; returns the exit status.

    :param stopping: called when the first signal to stop has come.
    :param reload_from: the file that SIGHUP reads again.
    :param private: a folder of this daemon alone, which goes even if a second signal ends the process at once.
    :raises TgtError: something could not be started; nothing is left behind.
    """
    set_up_logging(config.daemon.log_level, config.daemon.log_format)
    return asyncio.run(_Running(plugins, config, ready, stopping, reload_from, private).run())


class _Running:
    def __init__(
        self,
        plugins: Plugins,
        config: Config,
        ready: Ready,
        stopping: Callable[[], None],
        reload_from: Path | None,
        private: Path | None,
    ) -> None:
        self._plugins = plugins
        self._config = config
        self._ready = ready
        self._stopping = stopping
        self._reload_from = reload_from
        self._private = private
        self._notifier = Notifier.from_environment()
        self._watchdog = Watchdog.from_environment(self._notifier)
        self._inheritance = Inheritance(InheritedSocket(socket_address(sock), sock) for _, sock in take_given())
        self._socket = config.daemon.socket or default_socket()
        self._asked_to_stop = asyncio.Event()
        self._reloading: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        self._watchdog.start(loop)
        daemon = Daemon(self._plugins, self._config, self._inheritance)
        async with AsyncExitStack() as stack:
            server = Server(
                self._socket,
                lambda request: run_verb(daemon, request.verb, request.arguments),
                inherited=self._inheritance.take_socket(str(self._socket)),
            )
            self._catch_signals(daemon, server)
            await server.start()
            stack.push_async_callback(server.stop)
            with self._notifier.taking_time(loop):
                if not await self._started(daemon):
                    return 0
            gc.collect()
            gc.freeze()  # what was built at the start stays: the collector need not look at it again
            await self._ready(daemon, self._socket)
            self._notifier.ready(await summary(daemon))
            await self._asked_to_stop.wait()
            with self._notifier.taking_time(loop):
                left = await daemon.stop()
        for holder in left:
            _log.error("still in use at the end: %s", holder)
        return 1 if left else 0

    async def _started(self, daemon: Daemon) -> bool:
        """Start, unless a signal comes first: then what is there already goes away again."""
        starting = asyncio.ensure_future(daemon.start())
        asked = asyncio.ensure_future(self._asked_to_stop.wait())
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not starting.done():
            starting.cancel()
        try:
            await starting
        except asyncio.CancelledError:
            return False
        return True

    # ---- signals ------------------------------------------------------------------------------------------------------

    def _catch_signals(self, daemon: Daemon, server: Server) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number, server)
        loop.add_signal_handler(signal.SIGHUP, self._reload, daemon)

    def _stop(self, number: int, server: Server) -> None:
        """The first signal drains, the second one ends the process."""
        if self._asked_to_stop.is_set():
            server.vanish()
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
            sys.stdout.flush()
            os._exit(128 + number)
        _log.info("stopping: letting initiators finish")
        self._notifier.stopping("letting initiators finish")
        self._stopping()
        self._asked_to_stop.set()

    def _reload(self, daemon: Daemon) -> None:
        if self._reload_from is None:
            _log.warning("there is no configuration file to read again")
            return
        task = asyncio.ensure_future(self._reload_now(daemon, self._reload_from))
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload_now(self, daemon: Daemon, path: Path) -> None:
        self._notifier.reloading()
        try:
            source: Source = read(path, self._plugins.load_config)
            with self._notifier.taking_time(asyncio.get_running_loop()):
                steps = await daemon.apply(source)
        except (TgtError, OSError) as error:
            _log.error("the configuration was not reloaded: %s", error)
            status = f"{await summary(daemon)}; the configuration was not reloaded: {error}"
        else:
            _log.info("the configuration was reloaded%s", "" if steps else ": nothing differs")
            status = await summary(daemon)
        if daemon.serving and not daemon.stopping:
            self._notifier.ready(status)
