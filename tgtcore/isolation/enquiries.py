"""What a driver asks and tells the core besides its commands: questions, notices, task management, logins and their ends."""

from collections import deque
from collections.abc import Callable
from typing import Any

from tgtcore.errors import RingError
from tgtcore.limits import RING_PAYLOAD_BYTES_MAX
from tgtcore.ring import DriverEnd
from tgtcore.ring.area import Area
from tgtcore.ring.driver_end import Handler
from tgtcore.ring.layout import Layout

_ANSWER_S = 30.0
"""How long the core may take to answer a question for which the driver waits."""


class Enquiries:
    """The requests of a driver that are no commands.

    :param end: the driver's end of the ring.
    :param papers: the part of the data area for their payloads.
    """

    def __init__(self, end: DriverEnd, papers: Area) -> None:
        self.waiting: deque[tuple[Layout, Handler, tuple[Any, ...]]] = deque()
        """Those for which there was no place on the ring; only to be looked at."""
        self._end = end
        self._papers = papers
        self._answers: dict[int, Handler] = {}

    def request(self, layout: Layout, answered: Handler, *values: Any) -> None:
        """Post a request that is no command, now or when there is a place for it.

        :param answered: takes the answer's slot.
        :param values: the fields; a None stands for the id.
        """
        if self.waiting or self._full:
            self.waiting.append((layout, answered, values))
        else:
            self._post(layout, answered, values)

    def go_on(self) -> None:
        """Post what waits, as far as there are places now."""
        while self.waiting and not self._full:
            self._post(*self.waiting.popleft())

    @property
    def _full(self) -> bool:
        return self._end.unanswered >= self._end.depth - 1  # the last one is for questions

    def _post(self, layout: Layout, answered: Handler, values: tuple[Any, ...]) -> int:
        end = self._end
        request_id = end.new_id()
        self._answers[request_id] = answered
        end.unanswered += 1
        layout.pack_into(end.requests, end.slot(), *(request_id if value is None else value for value in values))
        return request_id

    def ask(
        self,
        layout: Layout,
        payload: bytes,
        room: int,
        values: Callable[[int], tuple[Any, ...]],
        late: Handler | None = None,
    ) -> memoryview:
        """Post a question with a payload and wait for the answer.

        :param room: bytes of the payload's place, for an answer that is longer than the question.
        :param values: the fields, when the payload's offset is known; a None stands for the id.
        :param late: takes the slot of an answer that comes when nobody waits for it any more.
        :returns: a copy of the answer's slot, and behind it, what is in the payload's place then.
        :raises RingError: the core does not answer, or the payload is longer than it may be.
        """
        _check_payload(payload)
        room = max(room, len(payload))
        place = self._papers.take(room)
        if place is None:
            raise RingError("too many questions are unanswered")
        offset, data = place[0], self._end.data
        data[offset : offset + len(payload)] = payload

        def answered(slots: memoryview, at: int) -> None:
            """Until then the place is the core's."""
            data[offset : offset + room] = bytes(room)  # it may have been a secret
            self._papers.give(*place)
            if late is not None and slots is not slot:
                late(slots, at)

        slot: memoryview | None = None
        request_id = self._post(layout, answered, values(offset))
        slot = self._end.wait(request_id, _ANSWER_S)
        answer = memoryview(bytes(slot) + bytes(data[offset : offset + room]))
        self._answers.pop(request_id)(slot, 0)
        return answer

    def tell(
        self,
        layout: Layout,
        payload: bytes,
        answered: Callable[[], None],
        values: Callable[[int], tuple[Any, ...]],
    ) -> None:
        """Post a request with a payload, now or when there is a place for it; nobody waits for the answer.

        :param answered: called when it has been answered.
        :param values: as in :meth:`ask`.
        :raises RingError: there is no room for the payload.
        """
        _check_payload(payload)
        place = self._papers.take(len(payload))
        if place is None:
            raise RingError("too many questions are unanswered")
        self._end.data[place[0] : place[0] + len(payload)] = payload

        def done(slots: memoryview, at: int) -> None:
            self._papers.give(*place)
            answered()

        self.request(layout, done, *values(place[0]))

    def answered(self, slots: memoryview, at: int) -> None:
        """An answer has come."""
        request_id = int.from_bytes(slots[at + 8 : at + 16], "little")
        self._answers.pop(request_id)(slots, at)


def _check_payload(payload: bytes) -> None:
    """Keep from the core what it would take for a breach: it would cost every session.

    :raises RingError: it is too long.
    """
    if len(payload) > RING_PAYLOAD_BYTES_MAX:
        raise RingError(f"a payload of {len(payload)} bytes, expected at most {RING_PAYLOAD_BYTES_MAX}")
