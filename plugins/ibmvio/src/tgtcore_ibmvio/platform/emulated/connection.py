"""A client partition that is attached: its socket, its doorbells, and the calls that come over the socket."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from functools import partial

from tgtcore import hang_up, peer_credentials, receive_packet
from tgtcore_ibmvio.platform.contract import Partner
from tgtcore_ibmvio.platform.emulated import doorbell
from tgtcore_ibmvio.platform.emulated.attaching import Attached
from tgtcore_ibmvio.platform.emulated.queue_pair import TURNS_OF_A_FULL_QUEUE, QueuePair
from tgtcore_ibmvio.platform.emulated.wire import CALL, RETURN, Call
from tgtcore_ibmvio.platform.hcall import Hcall

_log = logging.getLogger(__name__)

_CALLS: dict[int, Callable[[QueuePair, int, int], Hcall]] = {
    Call.H_REG_CRQ: QueuePair.register,
    Call.H_FREE_CRQ: lambda pair, _, __: pair.free(),
    Call.H_ENABLE_CRQ: lambda pair, _, __: pair.enable(),
    Call.MIGRATE: lambda pair, _, __: pair.migrate(),
    Call.PREPARE_FOR_SUSPEND: lambda pair, _, __: pair.prepare_for_suspend(),
    Call.SUSPEND: lambda pair, _, __: pair.suspend(),
    Call.RESUME: lambda pair, _, __: pair.resume(),
}


class Connection:
    """The machine's side of an attachment.  What breaks its rules ends it.

    :param where: the adapter, for messages.
    :param gone: called when it has ended, once, before the server hears of that.
    """

    def __init__(
        self, attached: Attached, where: str, loop: asyncio.AbstractEventLoop, gone: Callable[[], None]
    ) -> None:
        self.partner = Partner(attached.hello.number, attached.hello.name)
        self.shared = attached.shared
        self._who = f"{where}: partition {self.partner.number} ({self.partner.name})"
        self._link = attached.link
        self._heard = attached.heard
        self._rung = attached.rung
        self._loop = loop
        self._gone = gone
        self._patience = TURNS_OF_A_FULL_QUEUE
        self.queues = QueuePair(self.shared, loop, partial(doorbell.ring, self._rung), self.end)
        loop.add_reader(self._heard, self._on_bell)
        loop.add_reader(self._link, self._on_link)
        pid, uid, _ = peer_credentials(self._link)
        _log.info("%s has attached: process %d of user %d", self._who, pid, uid)

    def has_hung_up(self) -> bool:
        """Whether its end has come, and only has not been noticed."""
        try:
            return not self._link.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def end(self, reason: str) -> None:
        """End the attachment."""
        if self._link.fileno() < 0:
            return
        _log.info("%s is gone: %s", self._who, reason)
        self._loop.remove_reader(self._heard)
        self._loop.remove_reader(self._link)
        hang_up(self._link)
        os.close(self._heard)
        os.close(self._rung)
        self._gone()
        self.queues.close()

    def _on_bell(self) -> None:
        if not doorbell.hear(self._heard):
            self._loop.remove_reader(self._heard)  # if it has gone, its socket tells
        self.queues.rung()

    def _on_link(self) -> None:
        """A call, or the end: what was sent before goes before it, but a queue that never gets empty does not put it off."""
        if self._patience and self.queues.waiting():
            self._patience -= 1
            self.queues.wake()
            return
        self._patience = TURNS_OF_A_FULL_QUEUE
        try:
            packet = receive_packet(self._link, CALL.size + 1)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(str(error))
            return
        if len(packet) == CALL.size:
            self._answer(*CALL.unpack(packet))
        else:
            self.end(f"a call of {len(packet)} bytes, expected {CALL.size}" if packet else "it has hung up")

    def _answer(self, number: int, _: int, first: int, second: int) -> None:
        call = _CALLS.get(number)
        code = Hcall.PARAMETER if call is None else call(self.queues, first, second)
        try:
            self._link.send(RETURN.pack(number, code))
        except BlockingIOError:
            self.end("it does not read what its calls return")
        except OSError as error:
            self.end(str(error))
