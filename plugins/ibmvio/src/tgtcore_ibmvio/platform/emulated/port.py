"""The socket at which client partitions attach to an adapter, one at a time."""

import asyncio
import logging
import socket
from functools import partial
from typing import TYPE_CHECKING

from tgtcore import ConfigError, bind_private, hang_up
from tgtcore_ibmvio.platform.emulated.attaching import Attached, attach, refuse
from tgtcore_ibmvio.platform.emulated.wire import Refused

if TYPE_CHECKING:
    from tgtcore_ibmvio.platform.emulated.adapter import EmulatedAdapter
    from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions

_log = logging.getLogger(__name__)

_BACKLOG = 8
_PAUSE_S = 1.0
"""How long nobody is accepted when that has failed: there are no descriptors at the moment."""


class Port:
    """The listening socket of an adapter.

    :raises OSError: it can't be made; the message names it.
    """

    def __init__(self, adapter: "EmulatedAdapter", options: "EmulatedOptions", loop: asyncio.AbstractEventLoop) -> None:
        self._adapter = adapter
        self._memory_max = options.memory_max
        self._loop = loop
        self._greeting: asyncio.Task[Attached] | None = None
        self._pause: asyncio.TimerHandle | None = None
        options.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._path = options.directory / f"{adapter.unit_address:x}.sock"
        try:
            self._listening = bind_private(self._path, f"{adapter}: socket", socket.SOCK_SEQPACKET, gid=options.gid)
        except ConfigError as error:
            raise OSError(str(error)) from None
        self._listening.listen(_BACKLOG)
        self._resume()

    async def close(self) -> None:
        """Take nobody any more; who was about to attach has attached afterwards, or has been hung up on."""
        self._loop.remove_reader(self._listening)
        self._path.unlink(missing_ok=True)
        self._listening.close()
        if self._pause is not None:
            self._pause.cancel()
        if self._greeting is not None:
            self._greeting.cancel()
            await asyncio.wait([self._greeting])

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        connection = self._adapter.connection
        if connection is not None and connection.has_hung_up():
            return  # it is as good as gone, and the next one waits for that
        try:
            link, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            _log.warning("%s: no partition can attach for %g s: %s", self._adapter, _PAUSE_S, error)
            self._loop.remove_reader(self._listening)
            self._pause = self._loop.call_later(_PAUSE_S, self._resume)
            return
        link.setblocking(False)
        if connection is not None:
            refuse(link, f"{self._adapter} has another client partition")
            return
        self._loop.remove_reader(self._listening)  # others wait
        self._greeting = self._loop.create_task(attach(link, self._adapter.unit_address, self._memory_max))
        self._greeting.add_done_callback(partial(self._greeted, link))

    def _greeted(self, link: socket.socket, greeting: asyncio.Task[Attached]) -> None:
        if greeting.cancelled():
            hang_up(link)
            return
        self._greeting = None
        if self._listening.fileno() >= 0:
            self._resume()
        error = greeting.exception()  # not raised: its traceback would keep the memory that was made
        if error is None:
            self._adapter.attached(greeting.result())
        elif isinstance(error, Refused):
            _log.warning("%s: a partition may not attach: %s", self._adapter, error)
            refuse(link, str(error), error.status)
        else:
            _log.info("%s: nobody has attached: %s", self._adapter, str(error) or "it said nothing")
            hang_up(link)
