"""What the core wants of a driver: events with their answers."""

import asyncio
from collections import deque
from typing import NamedTuple

from tgtcore.errors import RingError
from tgtcore.isolation.orders import printable
from tgtcore.ring import AckStatus, CoreEnd, Event, messages
from tgtcore.ring.memory import Memory
from tgtcore.ring.messages import OPTIONAL_EVENTS

_STATUSES = frozenset(AckStatus)
_TEXT_BYTES_MAX = 1000
"""Longest reason that a driver may give."""


class _Wanted(NamedTuple):
    """An event that is not acknowledged."""

    kind: Event
    target: int
    payload: bytes
    timeout_ms: int
    answer: "asyncio.Future[bytes]"


class Refused(RingError):
    """The driver has answered that an event failed, or that it does not know an event which it must know; it lives on."""


_WITHOUT_WORDS = {AckStatus.UNSUPPORTED: "does not support", AckStatus.FAILED: "has failed at"}
"""What is said of a driver that gives no reason, by its status."""


class Events:
    """The events of one ring, told in the order in which they are posted."""

    def __init__(self, end: CoreEnd, memory: Memory) -> None:
        self._end = end
        self._memory = memory.events
        self._size = memory.geometry.event_bytes
        self._free = list(range(memory.geometry.events))[::-1]
        self._waiting: deque[_Wanted] = deque()
        self._told: dict[int, tuple[int, _Wanted]] = {}
        """Event id → buffer, event."""
        self._last_id = 0

    @property
    def crowded(self) -> bool:
        """Whether events wait until others are acknowledged."""
        return bool(self._waiting)

    def post(
        self, kind: Event, *, target: int = 0, payload: bytes = b"", timeout_s: float = 0
    ) -> "asyncio.Future[bytes]":
        """Tell the driver something; the future gets its answer, which nobody need wait for.

        Empty is also the answer of a driver that does not support an event which it need not know.  It raises :class:`Refused`,
        or :class:`~tgtcore.errors.RingError` when the driver has gone.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        wanted = _Wanted(kind, target, payload, int(timeout_s * 1000), answer)
        if self._end.closed:
            answer.set_exception(RingError("the driver is gone"))
        elif len(payload) > self._size:
            answer.set_exception(Refused(f"{kind.name} with {len(payload)} bytes, expected at most {self._size}"))
        elif self._waiting or not self._free:
            self._waiting.append(wanted)
        else:
            self._tell(wanted)
        return answer

    def acknowledged(self, event_id: int, status: int, length: int) -> None:
        """The driver has answered.

        :raises RingError: nobody has asked, or the answer can't be.
        """
        told = self._told.get(event_id)
        if told is None:
            raise RingError(f"event {event_id} is acknowledged, but there is none")
        if status not in _STATUSES or length > self._size:
            raise RingError(f"an answer with status {status} and {length} bytes, expected at most {self._size}")
        del self._told[event_id]
        buffer, wanted = told
        payload = bytes(self._memory[buffer * self._size : buffer * self._size + length])
        self._free.append(buffer)
        if not wanted.answer.done():
            if status == AckStatus.DONE:
                wanted.answer.set_result(payload)
            elif status == AckStatus.UNSUPPORTED and wanted.kind in OPTIONAL_EVENTS:
                wanted.answer.set_result(b"")
            else:
                text = printable(payload[:_TEXT_BYTES_MAX].decode("utf-8", "replace"))
                text = text or f"the driver {_WITHOUT_WORDS[AckStatus(status)]} {wanted.kind.name}"
                wanted.answer.set_exception(Refused(text))
        while self._waiting and self._free:
            self._tell(self._waiting.popleft())

    def close(self) -> None:
        """The driver is gone: nothing will be answered any more."""
        every = [wanted for _, wanted in self._told.values()] + list(self._waiting)
        self._told.clear()
        self._waiting.clear()
        self._memory = memoryview(b"")  # so that it need not stay mapped
        for wanted in every:
            if not wanted.answer.done():
                wanted.answer.set_exception(RingError("the driver is gone"))

    def _tell(self, wanted: _Wanted) -> None:
        buffer = self._free.pop()
        self._last_id += 1
        self._told[self._last_id] = buffer, wanted
        at = buffer * self._size
        payload = wanted.payload
        self._memory[at : at + len(payload)] = payload
        end = self._end
        messages.EVENT.pack_into(
            end.responses,
            end.slot(),
            wanted.kind,
            0,
            0,
            len(payload),
            self._last_id,
            buffer,
            wanted.target,
            wanted.timeout_ms,
            0,
        )


def _seen(answer: "asyncio.Future[bytes]") -> None:
    """Nobody may be waiting for it; then its failure is no defect."""
    if not answer.cancelled():
        answer.exception()
