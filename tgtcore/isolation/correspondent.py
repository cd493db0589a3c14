"""A driver's correspondence with the core: its commands with their places in the data area, and its other requests."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tgtcore.isolation.data_places import DataPlaces, Held, Home
from tgtcore.isolation.enquiries import Enquiries
from tgtcore.isolation.flight import Flight, lun_of
from tgtcore.isolation.shares import Lun, Share, Shares, Waiting
from tgtcore.ring import AckStatus, Attached, DriverEnd, Event, Request, Response, RingFunction, messages
from tgtcore.ring.area import Area
from tgtcore.ring.driver_end import Handler
from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.task import State, Task

if TYPE_CHECKING:
    from tgtcore.isolation.remote_nexus import RemoteNexus

_QUESTIONS = 64
"""Requests that commands leave to other requests, so that task management gets through when commands are stuck."""
_DATA_SHARE = 3
"""One of so many parts of the data area is for data-out that was asked for.  What is there always ends, so commands that hold their
other places meanwhile can never wait for each other."""
_SMALL_SHARE = 12
"""One of so many parts is for small commands only: those of other initiators go on when large ones are stuck in all the rest."""
_SMALL_BYTES = 64 * 1024
_PAPERS_SHARE = 24
"""One of so many parts is for the payloads of questions."""


class Correspondent:
    """The driver's side of one ring.

    :param attached: the ring.
    :param events: what to do with each event.
    """

    def __init__(self, attached: Attached, loop: asyncio.AbstractEventLoop, events: dict[int, Handler]) -> None:
        self._flights: dict[int, Flight] = {}
        self._queue = Waiting(self._large)
        self._waiting = self._queue.lines
        self._in_turn = self._queue.in_turn
        self._shares: Shares | None = None
        """Only while places are scarce."""
        self._last_id = 0
        handlers: dict[int, Handler] = {
            **dict.fromkeys(range(min(Event), 1 << 8), self._unknown),
            **events,
            Response.COMPLETION: self._completed,
            Response.WANT_DATA: self._wanted,
            **dict.fromkeys(
                (
                    Response.TASK_MANAGEMENT_DONE,
                    Response.NEXUS_OPENED,
                    Response.NEXUS_CLOSED,
                    Response.ADMITTED,
                    Response.ACCOUNT_FOUND,
                    Response.INHERITED,
                    Response.SIGNAL_HEARD,
                ),
                self._answered,
            ),
        }
        self.end = DriverEnd(
            attached.memory, attached.request_bell, attached.response_bell, attached.link, loop, handlers
        )
        size = attached.memory.geometry.data_bytes
        data, small, papers = size // _DATA_SHARE, size // _SMALL_SHARE, size // _PAPERS_SHARE
        rest = size - data - small - papers
        self._places = Area(rest)
        self._data_places = DataPlaces(data, rest)
        self._small_places = Area(small, rest + data)
        self.enquiries = Enquiries(self.end, Area(papers, rest + data + small))
        """Its requests that are no commands."""
        self._enquiries_waiting = self.enquiries.waiting
        self._room_max = self._places.largest_bytes // 2
        self._commands_max = self.end.depth - _QUESTIONS
        self._few_commands = self._commands_max // 2
        self._few_bytes = self._places.free_bytes // 2

    # ---- commands ---------------------------------------------------------------------------------------------------

    def submit(self, task: Task) -> None:
        """Pass a command on, now or when there is a place for it."""
        nexus: RemoteNexus = task.nexus  # type: ignore[assignment]
        if (nexus in self._waiting and self._queue.has_line(nexus, lun_of(task))) or not self._post(task):
            lun = lun_of(task)
            self._queue.add(nexus, lun, task, full=self._full(lun))

    def withdraw(self, nexus: "RemoteNexus", chosen: Callable[[Task], bool]) -> None:
        """End in silence those of the commands of a nexus that wait here that are chosen."""
        for task in self._queue.withdraw(nexus, chosen):
            task.abort(None)

    def waits(self, nexus: "RemoteNexus", task: Task) -> bool:
        """Whether a command waits here, so that the core does not know it."""
        return self._queue.has(nexus, lun_of(task), task)

    def _counted(self) -> Shares:
        """What each LUN has, counted from now on."""
        shares = self._shares
        if shares is None:
            shares = self._shares = Shares()
            for flight in self._flights.values():
                flight.share = shares.of(lun_of(flight.task))
                shares.add(flight.share, flight.held_bytes)
        return shares

    def _full(self, lun: Lun) -> bool:
        """Whether a LUN has its share."""
        shares = self._shares
        return shares is not None and self._is_full(shares.of(lun))

    def _is_full(self, share: Share) -> bool:
        return share.is_full(self._commands_max - self.end.unanswered, self._places.free_bytes)

    def _large(self, task: Task) -> bool:
        """Whether a command is too large for the places of small ones."""
        present = 0 if task.data_out is None else len(task.data_out)
        return _SMALL_BYTES < present <= self._room_max or task.expected_in > _SMALL_BYTES

    def _post(self, task: Task) -> bool:
        """Post a command; False: there is no place for it now."""
        end = self.end
        free, free_bytes = self._commands_max - end.unanswered, self._places.free_bytes
        few, few_bytes = free <= self._few_commands, free_bytes < self._few_bytes
        shares = self._counted() if few or few_bytes else self._shares
        share = None if shares is None else shares.of(lun_of(task))
        if share is not None and few and (free <= 0 or share.all_commands(free)):
            return False
        data = task.data_out
        present = 0 if data is None else len(data)
        room = min(task.expected_in, self._room_max)
        cdb = task.cdb
        long_cdb = len(cdb) if len(cdb) > messages.CDB_INLINE_BYTES else 0
        place: tuple[int, int] | None = None
        others: list[tuple[Area | Home, tuple[int, int]]] | None = None
        offset = 0
        if present > self._room_max:
            present, data = 0, None  # the command asks for as much of it as it wants
        if total := present + room + long_cdb:
            if share is None or not few_bytes or not share.all_bytes(free_bytes):
                place = self._places.take(total)
            if place is None:
                small = self._small_places.take(total) if total <= _SMALL_BYTES else None
                if small is None:
                    return False
                offset = small[0]
                others = [(self._small_places, small)]
            else:
                offset = place[0]
            if data is not None:
                end.data[offset : offset + present] = memoryview(data)
                if present == task.expected_out:
                    task.data_out = None  # whoever holds it need not keep it
            if long_cdb:
                end.data[offset + present + room : offset + total] = cdb
        self._last_id = request_id = self._last_id + 1
        self._flights[request_id] = Flight(task, place, others, offset + present, room, share)
        if shares is not None and share is not None:
            shares.add(share, place[1] if place is not None else 0)
        end.unanswered += 1
        nexus: RemoteNexus = task.nexus  # type: ignore[assignment]
        nexus.ids[task.tag] = request_id
        messages.COMMAND.pack_into(
            end.requests,
            end.slot(),
            Request.COMMAND,
            task.attribute,
            len(cdb),
            nexus.number,
            request_id,
            task.lun,
            offset,
            offset + present,
            present,
            task.expected_out,
            room,
            task.expected_in,
            offset + present + room,
            b"" if long_cdb else cdb,
        )
        return True

    def _completed(self, slots: memoryview, at: int) -> None:
        _, status, flags, sense_length, request_id, length, wanted_out, _ = messages.COMPLETION_HEAD.unpack_from(
            slots, at
        )
        flight = self._flights.pop(request_id)
        task = flight.task
        try:
            if flags & messages.SILENT:
                self._give(flight)
                if flight.refused:
                    task.finish(Status.CHECK_CONDITION, _TOO_LONG)
                elif not task.abort(None):
                    task.finish(Status.GOOD, b"")  # it has brought data, and counts as running here; that is over
            else:
                if length:
                    data = self.end.data[flight.in_offset : flight.in_offset + min(length, flight.room)]
                    task.data_in = bytes(data) if length <= flight.room else bytes(data).ljust(length, b"\0")
                self._give(flight)
                task.wanted_out = wanted_out
                sense = b""
                if sense_length:
                    begin = at + messages.COMPLETION_HEAD.size
                    sense = bytes(slots[begin : begin + sense_length])
                if flight.room < min(length, task.expected_in):
                    task.data_in = None
                    status, sense = Status.CHECK_CONDITION, _TOO_LONG
                task.finish(status, sense)
        finally:
            if self._data_places or self._in_turn or self._enquiries_waiting:
                self._go_on()  # also when the transport has failed at the end of this one

    def _give(self, flight: Flight) -> None:
        if flight.place is not None:
            self._places.give(*flight.place)
        if flight.others is not None:
            for area, place in flight.others:
                area.give(*place)
        if self._shares is not None:
            self._share_back(self._shares, flight)

    def _share_back(self, shares: Shares, flight: Flight) -> None:
        """A command has ended while shares were counted."""
        share = flight.share
        assert share is not None, "every command that is under way was counted"
        shares.subtract(share, flight.held_bytes)
        if self._waiting:
            self._queue.ended(share.lun, share.commands, full=self._is_full(share))
            self._queue.look_again(self._full)
        if self._places.free_bytes > self._few_bytes and 2 * self.end.unanswered < self._few_commands:
            self._queue.pass_over_nobody()
            self._shares = None

    def _go_on(self) -> None:
        """Pass on what waits, as far as there are places now."""
        self.enquiries.go_on()
        if self._data_places:
            self._post_data()
        for nexus, lun, line in self._queue.turns():
            while line and self._post(task := next(iter(line))):
                del line[task]
            self._queue.again(nexus, lun, full=self._full(lun))

    # ---- data-out -----------------------------------------------------------------------------------------------------

    def _wanted(self, slots: memoryview, at: int) -> None:
        _, _, _, wanted_out, request_id = messages.WANT_DATA.unpack_from(slots, at)
        flight = self._flights[request_id]
        task = flight.task
        task.wanted_out = wanted_out
        wanted = min(wanted_out, task.expected_out)
        if wanted > self._data_places.largest_bytes:
            self._refuse(request_id, flight)
        elif task.data_out is not None and len(task.data_out) >= wanted:
            self._bring(request_id)
        else:
            task.state = State.DATA
            task.want_data()

    def _refuse(self, request_id: int, flight: Flight) -> None:
        """End a command whose data-out has no place; not before the core has let it go."""
        task = flight.task
        flight.refused = True
        nexus: RemoteNexus = task.nexus  # type: ignore[assignment]
        self.enquiries.request(
            messages.TASK_MANAGEMENT,
            _ignore,
            Request.TASK_MANAGEMENT,
            RingFunction.ABORT_TASK,
            0,
            nexus.number,
            None,
            task.lun,
            request_id,
        )

    def data_arrived(self, task: Task) -> None:
        """A command has all its data-out."""
        nexus: RemoteNexus = task.nexus  # type: ignore[assignment]
        task.state = State.RUNNING
        self._bring(nexus.ids[task.tag])

    def _bring(self, request_id: int) -> None:
        """Post DATA as soon as there is a place for it."""
        task = self._flights[request_id].task
        assert task.data_out is not None
        wanted = min(task.wanted_out, len(task.data_out))
        self._data_places.want(lun_of(task), request_id, wanted)
        self._post_data()

    def _post_data(self) -> None:
        """Post the DATA for which there are places now."""
        for request_id, held in self._data_places.served(self._flights.__contains__):
            self._post_data_to(request_id, held)

    def _post_data_to(self, request_id: int, held: Held) -> None:
        flight = self._flights[request_id]
        flight.others = [*(flight.others or ()), held]
        task, end, offset = flight.task, self.end, held[1][0]
        assert task.data_out is not None
        data = memoryview(task.data_out)[: task.wanted_out]
        end.data[offset : offset + len(data)] = data
        task.data_out = None
        messages.DATA.pack_into(end.requests, end.slot(), Request.DATA, 0, 0, len(data), request_id, offset)

    # ---- the rest --------------------------------------------------------------------------------------------------------

    def _answered(self, slots: memoryview, at: int) -> None:
        self.enquiries.answered(slots, at)
        if self._enquiries_waiting or self._data_places or self._in_turn:
            self._go_on()

    def _unknown(self, slots: memoryview, at: int) -> None:
        """An event of a newer core."""
        _, _, _, _, event_id, buffer, _, _, _ = messages.EVENT.unpack_from(slots, at)
        self.acknowledge(event_id, buffer, AckStatus.UNSUPPORTED, b"")

    def acknowledge(self, event_id: int, buffer: int, status: int, payload: bytes) -> None:
        """Answer an event; a payload that does not fit becomes a failure."""
        end = self.end
        place = end.event_buffer(buffer)
        if len(payload) > len(place):
            status, payload = AckStatus.FAILED, b"the answer is too long"
        place[: len(payload)] = payload
        messages.ACKNOWLEDGE.pack_into(end.requests, end.slot(), Request.ACKNOWLEDGE, status, 0, len(payload), event_id)


def _ignore(slots: memoryview, at: int) -> None:
    return


_TOO_LONG = Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB).fixed()
"""For more data than fits into a place (SBC-4 6.6.4: beyond MAXIMUM TRANSFER LENGTH)."""
