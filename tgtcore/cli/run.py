"""Running the daemon in the foreground: signals, readiness, the management socket, giving way to a successor, the end."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from tgtcore.cli.descriptors import check_enough, raise_limit
from tgtcore.cli.logs import set_up_logging
from tgtcore.cli.readiness import summary
from tgtcore.cli.upgrade import start_successor, watch_successor
from tgtcore.config import Config, Source, default_socket, read
from tgtcore.daemon import Daemon, Inheritance, InheritedSocket
from tgtcore.errors import TgtError
from tgtcore.handover import VERB, Gone, Predecessor, Successor, listening
from tgtcore.heap import keep_freed
from tgtcore.management.protocol import Code, Request, VerbError
from tgtcore.management.server import Conversation, Server
from tgtcore.management.verbs import run as run_verb
from tgtcore.plugins import Plugins
from tgtcore.service import Notifier, Watchdog, socket_address, take_given

_log = logging.getLogger("tgtd")
_T = TypeVar("_T")

Load = Callable[[], tuple[Plugins, Config]]
"""Loads plugins and checks a configuration with them."""

Ready = Callable[[Daemon, Path], Awaitable[None]]
"""Called once, when everything is served; with the path of the management socket."""


def run(
    load: Load,
    ready: Ready,
    *,
    stopping: Callable[[], None] = lambda: None,
    reload_from: Path | None = None,
    private: Path | None = None,
    take_over: bool = False,
) -> int:
    """Serve until a signal comes, or until another daemon has taken our place; returns the exit status.

    :param load: gives the plugins and what to serve; they are not kept here, so that plugins can be unloaded.
    :param stopping: called when the first signal to stop has come.
    :param reload_from: the file that SIGHUP reads again.
    :param private: a folder of this daemon alone, which goes even if a second signal ends the process at once.
    :param take_over: take the place of the daemon that has the management socket now.
    :raises TgtError: something could not be started; nothing is left behind, and the former daemon serves if it lives.
    """
    keep_freed()
    gc.disable()  # a start builds much and drops little
    try:
        return asyncio.run(_Running(load, ready, stopping, reload_from, private).run(take_over=take_over))
    finally:
        gc.enable()


class _Running:
    def __init__(
        self,
        load: Load,
        ready: Ready,
        stopping: Callable[[], None],
        reload_from: Path | None,
        private: Path | None,
    ) -> None:
        plugins, config = load()
        set_up_logging(config.daemon.log_level, config.daemon.log_format)
        check_enough(config, raise_limit())
        self._first = [(plugins, config)]
        self._ready: Ready | None = ready
        self._stopping = stopping
        self._reload_from = reload_from
        self._private = private
        self._notifier = Notifier.from_environment()
        self._watchdog = Watchdog.from_environment(self._notifier)
        self._given = [InheritedSocket(socket_address(sock), sock) for _, sock in take_given()]
        self._socket = config.daemon.socket or default_socket()
        self._asked_to_stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._predecessor: Predecessor | None = None
        self._successors: asyncio.Queue[Successor] = asyncio.Queue()
        self._giving_way = False
        self._server: Server | None = None
        self._daemon: Daemon | None = None

    async def run(self, *, take_over: bool) -> int:
        """One life, or more when a successor fails."""
        self._watchdog.start(asyncio.get_running_loop())
        self._catch_signals()
        async with AsyncExitStack() as stack:
            begun = await (self._take_over() if take_over else self._begin())
            if begun is None:
                return 0
            server, inheritance = begun
            stack.push_async_callback(server.stop)
            while True:
                outcome = await self._live(server, inheritance)
                if isinstance(outcome, int):
                    return outcome
                inheritance = outcome

    async def _begin(self) -> tuple[Server, Inheritance]:
        """Take the management socket."""
        inheritance = Inheritance(self._given)
        self._server = Server(self._socket, self._answer, inherited=inheritance.take_socket(str(self._socket)))
        await self._server.start()
        return self._server, inheritance

    async def _take_over(self) -> tuple[Server, Inheritance] | None:
        """Take everything of the daemon that is there; None when a signal comes first, then it serves on."""
        predecessor = await self._unless_stopped(Predecessor.ask(self._socket))
        if predecessor is None:
            return None
        _log.info("taking over from the daemon at %s", self._socket)
        inheritance = await self._unless_stopped(predecessor.yield_place(self._given))
        if inheritance is None:
            predecessor.close()
            return None
        self._predecessor = predecessor
        self._server = Server(self._socket, self._answer, place=predecessor.place)
        await self._server.start()
        return self._server, inheritance

    async def _live(self, server: Server, inheritance: Inheritance) -> int | Inheritance:
        """Start, serve and stop; the exit status, or what to start again with."""
        daemon = self._daemon = Daemon(*self._first.pop(), inheritance)
        with self._notifier.taking_time(asyncio.get_running_loop()):
            try:
                started = await self._unless_stopped(_started(daemon))
            except Exception as error:
                await self._give_back(server, str(error))
                raise
            if not started:
                await self._give_back(server, "it was asked to stop")
                return 0
            if self._predecessor is not None:
                await self._predecessor.serving()
                self._predecessor = None
        gc.unfreeze()  # a life before this one may have gone
        gc.collect()
        gc.freeze()  # what was built at the start stays: the collector need not look at it again
        gc.enable()
        if self._ready is not None:
            await self._ready(daemon, self._socket)
            self._ready = None
        self._notifier.ready(await summary(daemon))
        return await self._serve(daemon, server)

    async def _give_back(self, server: Server, why: str) -> None:
        """What was taken over can't be served: let the predecessor have it again, if there is one that lives."""
        if self._predecessor is None:
            return
        if await self._predecessor.failed(why):
            server.leave()
            _log.error("the former daemon serves again")
        else:
            _log.error(
                "the former daemon has ended, and nobody serves now: mend this and start tgtd without --take-over"
            )

    async def _serve(self, daemon: Daemon, server: Server) -> int | Inheritance:
        """Serve until a signal or a successor comes; the exit status, or what to start again with."""
        while (successor := await self._unless_stopped(self._successors.get())) is not None:
            self._giving_way = True
            try:
                outcome = await self._give_way(daemon, server, successor)
            finally:
                self._giving_way = False
                successor.close()
            if outcome is not None:
                return outcome
        with self._notifier.taking_time(asyncio.get_running_loop()):
            gc.disable()  # everything goes, and most of it by itself
            return _report(await daemon.stop())

    async def _give_way(self, daemon: Daemon, server: Server, successor: Successor) -> int | Inheritance | None:
        """Let another daemon have our place; None when it does not want it, and nothing has changed."""
        with ExitStack() as closing:
            try:
                sockets = await listening(daemon)
                for inherited in sockets:
                    closing.callback(inherited.socket.close)
                if not await self._unless_stopped(successor.offer(server.place, sockets)):
                    return None
            except (Gone, OSError) as error:
                _log.error("another daemon wanted to take over, but %s; this one serves on", error)
                return None
            _log.info("giving way to process %d: letting initiators finish", successor.pid)
            self._notifier.status(f"giving way to process {successor.pid}")
            server.pause()
            self._first.append((daemon.plugins, daemon.config))
            with self._notifier.taking_time(asyncio.get_running_loop()):
                gc.disable()
                left = await daemon.stop()
                reservations = daemon.last_reservations()
                try:
                    await successor.take_over(reservations, clean=not left)
                except Gone as error:
                    _log.error("process %d can't take over: %s; this daemon serves again", successor.pid, error)
                    await server.listen()
                    closing.pop_all()
                    return Inheritance(sockets, reservations)
        self._notifier.tell(f"MAINPID={successor.pid}")
        server.leave()
        return _report(left)

    async def _answer(self, request: Request) -> Any:
        """What a client asks for at the management socket."""
        daemon = self._daemon
        if daemon is None:
            raise VerbError(Code.BUSY, "the daemon is starting")
        if request.verb != VERB:
            return await run_verb(daemon, request.verb, request.arguments)
        if self._private is not None:
            raise VerbError(Code.FAILED, "a daemon of tgtd serve is not taken over: its place is private")
        if self._giving_way or not daemon.serving or daemon.stopping:
            raise VerbError(Code.BUSY, "the daemon is starting, stopping or giving way already")
        self._giving_way = True
        return Conversation(lambda sock: self._successors.put_nowait(Successor(sock)))

    async def _unless_stopped(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """The result of something, unless a signal to stop comes first: then it is cancelled, and this is None."""
        working = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked_to_stop.wait())
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not working.done():
            working.cancel()
        try:
            return await working
        except asyncio.CancelledError:
            return None

    # ---- signals ------------------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_signal_handler(signal.SIGUSR2, self._upgrade)

    def _stop(self, number: int) -> None:
        """The first signal drains, the second one ends the process."""
        if self._asked_to_stop.is_set():
            if self._server is not None and not self._giving_way and self._predecessor is None:
                self._server.vanish()
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
            sys.stdout.flush()
            os._exit(128 + number)
        _log.info("stopping: letting initiators finish")
        if not self._giving_way:
            self._notifier.stopping("letting initiators finish")
        self._stopping()
        self._asked_to_stop.set()

    def _reload(self) -> None:
        if self._daemon is None:
            return  # the file is being read just now
        if self._reload_from is None:
            _log.warning("there is no configuration file to read again")
            return
        self._spawn(self._reload_now(self._daemon, self._reload_from))

    def _upgrade(self) -> None:
        """Start the program that is installed now in our place."""
        if self._reload_from is None:
            _log.warning("a daemon of tgtd serve has no successor")
            return
        environment = {**os.environ, **self._notifier.environment(), **self._watchdog.environment()}
        try:
            self._spawn(watch_successor(start_successor(environment)))
        except OSError as error:
            _log.error("no successor was started: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_now(self, daemon: Daemon, path: Path) -> None:
        self._notifier.reloading()
        try:
            source: Source = await asyncio.to_thread(read, path, daemon.plugins.load_config)
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


async def _started(daemon: Daemon) -> bool:
    await daemon.start()
    return True


def _report(left: list[str]) -> int:
    """The exit status of a daemon that has stopped."""
    for holder in left:
        _log.error("still in use at the end: %s", holder)
    return 1 if left else 0
