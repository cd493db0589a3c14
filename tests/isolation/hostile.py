"""A driver that attaches as it should and then does everything wrong, by chance but repeatably.

As a program, ``python -m isolation.hostile FD SEED HOW``, it does so in a process of its own.
"""

import fcntl
import os
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from tgtcore.ring import Attached, Geometry, Request, Response, RingFunction, attach, doorbell, messages, words
from tgtcore.ring.layout import Layout
from tgtcore.ring.memory import Memory, create
from tgtcore.testing.host import HELD, READY, REFUSED, read, write

WILD = (
    0,
    1,
    5,
    6,
    31,
    32,
    33,
    255,
    256,
    260,
    261,
    4096,
    65535,
    65536,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 4096,
    2**64 - 1,
)
GEOMETRY = Geometry(depth=256, data_bytes=1 << 20, events=4, event_bytes=4096)
_CDBS = (
    READY,
    REFUSED,
    HELD,
    read(0),
    read(512),
    read(70_000),
    write(0),
    write(512),
    write(70_000),
    b"\x7f" * 16,
    b"\xa0" * 12,
)
_SIGNALS = (
    b'{"signal": "portal_opened", "sender": "here"}',
    b'{"signal": "limit_reached", "news": {"limit": "l", "value": 1}, "target": 1}',
    b'{"signal": "lu_removed"}',
    b'{"signal": "limit_reached", "news": {"limit": "l", "value": -1}}',
    b"[" * 4096,
    b"\xff",
    b"",
)
_BITS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}
_LAST = 1 << 62
_WORDS = (b"", b"i", b"initiator", b"\xff\xfe", b"x" * 300, b"a\nb", b"\x1b[2J")


def joined() -> tuple[Attached, Attached]:
    """Both sides of a ring: the core's and the driver's."""
    links = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    links[1].setblocking(False)
    header = GEOMETRY.header(features=0, core_pid=1, driver_pid=2, driver_uid=3, instance=bytes(16), driver="hostile")
    memory_fd = create(GEOMETRY, header)
    request, response = doorbell.make(), doorbell.make()
    try:
        return (
            Attached(links[0], Memory(memory_fd, GEOMETRY), request[0], response[1], "hostile", 2),
            Attached(links[1], Memory(memory_fd, GEOMETRY), request[1], response[0], "", 1),
        )
    finally:
        os.close(memory_fd)


class Hostile:
    """The driver's side of a ring in the wrong hands.

    :param wildness: how wild it is, from 0 to 1.
    :param sent: how many requests were sent over the ring before.
    :param heard: how many responses and events have come.
    """

    def __init__(self, attached: Attached, seed: int, wildness: float = 0.02, sent: int = 0, heard: int = 0) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.wildness = wildness
        self.attached = attached
        self.memory = attached.memory
        self.posted = 0
        self._announced = 0
        self._next = sent
        self._heard = heard
        self._last_id = 0
        self._places = len(self.memory.data)

    # ---- posting ------------------------------------------------------------------------------------------------------

    def slot(self) -> memoryview:
        """The next slot of the request ring."""
        at = self._next % self.memory.geometry.slots * messages.REQUEST_SLOT_BYTES
        self._next += 1
        self.posted += 1
        return self.memory.requests[at : at + messages.REQUEST_SLOT_BYTES]

    def ring(self, count: int) -> None:
        """Ring the doorbell, if there is room in it."""
        try:
            os.write(self.attached.request_bell, count.to_bytes(8, "little"))
        except OSError:
            pass

    def announce(self) -> None:
        """Ring the doorbell for what was posted."""
        count, self._announced = self.posted - self._announced, self.posted
        if count:
            self.ring(count)

    def post(self, kind: Request, **fields: int | bytes) -> None:
        """A request; fields that are not given are zero, and now and then one of them is wild."""
        layout = messages.REQUESTS[kind]
        values = [fields.get(field.name, b"" if isinstance(field.kind, int) else 0) for field in layout.fields]
        values[0] = kind
        if self.random.random() < self.wildness:
            self._spoil(layout, values)
        layout.pack_into(self.slot(), 0, *values)

    def _spoil(self, layout: Layout, values: list[int | bytes]) -> None:
        number = self.random.randrange(1, len(values))
        kind = layout.fields[number].kind
        if isinstance(kind, int):
            values[number] = self.random.randbytes(kind)
        else:
            values[number] = self.random.choice(WILD) & ((1 << _BITS[kind]) - 1)

    def _id(self) -> int:
        self._last_id += 1
        return self._last_id if self.random.random() > self.wildness else self.random.randrange(self._last_id + 1)

    def _place(self, length: int) -> int:
        return self.random.randrange(max(self._places - length, 1))

    def payload(self, *parts: bytes) -> dict[str, int | bytes]:
        return self.raw_payload(words.join(parts))

    def raw_payload(self, payload: bytes) -> dict[str, int | bytes]:
        """A payload in the data area."""
        offset = self._place(len(payload))
        self.memory.data[offset : offset + len(payload)] = payload
        return {"offset": offset, "length": len(payload)}

    def _word(self) -> bytes:
        return self.random.choice(_WORDS) if self.random.random() < self.wildness else b"initiator"

    # ---- what it does -------------------------------------------------------------------------------------------------

    def command(self) -> None:
        """A command as it should be."""
        cdb = self.random.choice(_CDBS)
        length = int.from_bytes(cdb[6:9], "big") if cdb[0] in (0x28, 0x2A) else 0
        out = length if cdb[0] == 0x2A else 0
        room = length if cdb[0] == 0x28 else 0
        present = self.random.choice((0, out))
        self.post(
            Request.COMMAND,
            attribute=self.random.randrange(4),
            cdb_length=len(cdb),
            nexus=self._nexus(),
            id=self._id(),
            lun=self.random.choice((0, 0, 1 << 48, 5 << 48)),
            data_out_offset=self._place(out),
            data_in_offset=self._place(room),
            data_out_length=present,
            data_out_expected=out,
            data_in_room=room,
            data_in_expected=room,
            cdb=cdb,
        )

    def _nexus(self) -> int:
        return 1 if self.random.random() > self.wildness else self.random.randrange(4)

    def data(self) -> None:
        """Data-out for some command, perhaps one that wants it."""
        length = self.random.choice((512, 70_000))
        recent = max(self._last_id - self.random.randrange(8), 0)
        self.post(Request.DATA, id=recent, offset=self._place(length), length=length)

    def manage(self) -> None:
        """A task management function."""
        function = self.random.choice(list(RingFunction))
        recent = max(self._last_id - self.random.randrange(8), 0)
        self.post(Request.TASK_MANAGEMENT, function=function, nexus=self._nexus(), id=self._id(), referenced=recent)

    def open(self, number: int = 0) -> None:
        """A nexus."""
        payload = self.payload(self._word(), b"127.0.0.1", b"host", b"port")
        self.post(
            Request.NEXUS_OPEN,
            protocol=5,
            relative_id=1,
            nexus=number or self.random.randrange(2, 6),
            id=self._id(),
            target=1,
            group=1,
            **payload,
        )

    def close(self) -> None:
        """The end of a nexus."""
        self.post(Request.NEXUS_CLOSE, nexus=self.random.randrange(1, 6), id=self._id())

    def ask(self) -> None:
        """A question."""
        kind = self.random.choice((Request.ADMIT, Request.ACCOUNT, Request.INHERIT))
        if kind is Request.ADMIT:
            self.post(kind, target=1, id=self._id(), **self.payload(self._word(), b"a", b"host", b"portal"))
            return
        payload = {**self.payload(b"name"), "length": 6}
        room = {"room": 256} if kind is Request.ACCOUNT else {}
        self.post(kind, id=self._id(), **payload, **room)

    def signal(self) -> None:
        """News, perhaps of what there is not."""
        choice = _SIGNALS if self.random.random() < self.wildness else _SIGNALS[:2]
        self.post(Request.SIGNAL, id=self._id(), **self.raw_payload(self.random.choice(choice)))

    def acknowledge(self) -> None:
        """An event, perhaps one that there is."""
        self.post(Request.ACKNOWLEDGE, status=self.random.randrange(3), length=0, id=self.random.randrange(1, 40))

    def garbage(self) -> None:
        """Anything."""
        self.slot()[:] = self.random.randbytes(messages.REQUEST_SLOT_BYTES)

    def flip(self) -> None:
        """Change some bytes anywhere that both sides have."""
        part = self.random.choice((self.memory.requests, self.memory.responses, self.memory.events, self.memory.data))
        at = self.random.randrange(len(part) - 64)
        part[at : at + 64] = self.random.randbytes(64)

    def bell(self) -> None:
        """A storm, or nonsense, at the doorbell."""
        choice = self.random.randrange(4)
        if choice == 0:
            self.ring(self.random.choice((0, 2**64 - 2, 2**64 - 1, 2**32, self.memory.geometry.slots + 1)))
        elif choice == 1:
            try:
                os.write(self.attached.request_bell, self.random.randbytes(self.random.randrange(1, 64)))
            except OSError:
                pass
        elif choice == 2:
            fcntl.fcntl(self.attached.request_bell, fcntl.F_SETFL, self.random.choice((0, os.O_NONBLOCK)))
            fcntl.fcntl(self.attached.response_bell, fcntl.F_SETFL, os.O_NONBLOCK)
            fcntl.fcntl(self.attached.request_bell, fcntl.F_SETFL, os.O_NONBLOCK)
        else:
            for _ in range(200):
                self.ring(1)

    def link(self) -> None:
        """Something over the socket."""
        choice = self.random.randrange(4)
        link = self.attached.link
        try:
            if choice == 0:
                link.send(self.random.randbytes(self.random.randrange(1, 400)))
            elif choice == 1:
                fds = [self.attached.request_bell] * self.random.randrange(1, 20)
                socket.send_fds(link, [b"here"], fds)
            elif choice == 2:
                link.shutdown(self.random.choice((socket.SHUT_RD, socket.SHUT_WR)))
            else:
                for _ in range(300):
                    socket.send_fds(link, [b"here"], [link.fileno()])
        except OSError:
            pass

    def listen(self) -> None:
        """Take what has been answered, and bring the data that is asked for."""
        for at in self.said():
            self._answered(at)

    def said(self) -> Iterator[int]:
        """Where in the response ring what has been announced is."""
        try:
            counts = os.read(self.attached.response_bell, 4096)
        except OSError:
            return
        for at in range(0, len(counts) // 8 * 8, 8):
            for _ in range(int.from_bytes(counts[at : at + 8], "little")):
                yield self._heard % self.memory.geometry.slots * messages.RESPONSE_SLOT_BYTES
                self._heard += 1

    def _answered(self, at: int) -> None:
        if self.memory.responses[at] == Response.WANT_DATA and self.random.random() > self.wildness:
            _, _, _, wanted, request_id = messages.WANT_DATA.unpack_from(self.memory.responses, at)
            self.post(Request.DATA, id=request_id, offset=self._place(wanted), length=wanted)

    def run(self, count: int) -> None:
        """So many events, and the doorbell."""
        usual: dict[Callable[[], None], int] = {
            self.command: 60,
            self.manage: 8,
            self.ask: 4,
            self.signal: 4,
            self.listen: 6,
        }
        wild: dict[Callable[[], None], int] = {
            self.data: 4,
            self.open: 4,
            self.garbage: 2,
            self.flip: 6,
            self.bell: 1,
            self.link: 1,
            self.acknowledge: 4,
            self.close: 4,
        }
        for _ in range(count):
            deeds = wild if self.random.random() < self.wildness else usual
            self.random.choices(list(deeds), list(deeds.values()))[0]()
        self.announce()

    def fill(self, kind: Request, **fields: int | bytes) -> None:
        """Put the same request into every slot: from now on only the doorbell costs anything."""
        self._settle()
        for number in range(self.memory.geometry.slots):
            self.post(kind, id=1 << 32 | number, **fields)
        self.posted = self._announced

    def _settle(self) -> None:
        """Take every answer to what was posted."""
        self.post(Request.TASK_MANAGEMENT, function=RingFunction.QUERY_TASK_SET, nexus=1, id=_LAST)
        self.announce()
        os.set_blocking(self.attached.response_bell, True)
        while _LAST not in [messages.WANT_DATA.unpack_from(self.memory.responses, at)[-1] for at in self.said()]:
            pass

    def repeat(self, count: int, at_once: int = 1 << 32) -> None:
        """Announce so many of the requests that :meth:`fill` has put into the ring, as fast as they are answered.

        :param at_once: how many the doorbell announces at most.
        """
        os.set_blocking(self.attached.request_bell, True)
        more = depth = self.memory.geometry.depth // 2
        while count > 0:
            count -= more
            self._next += more
            self.posted = self._announced = self.posted + more
            while more:
                self.ring(min(more, at_once))
                more -= min(more, at_once)
            more = min(depth, int.from_bytes(os.read(self.attached.response_bell, 8), "little"))

    def leave(self) -> None:
        """Let go of everything."""
        self.attached.link.close()
        for bell in (self.attached.request_bell, self.attached.response_bell):
            os.close(bell)


def main(fd: int, seed: int, how: str) -> None:
    """Attach, log in, and begin."""
    hostile = Hostile(attach(socket.socket(fileno=fd), "hostile"), seed)
    hostile.wildness = 0
    hostile.open(1)
    hostile.announce()
    os.set_blocking(hostile.attached.response_bell, True)
    list(hostile.said())
    if how == "flood":
        hostile.wildness = 0
        hostile.fill(Request.TASK_MANAGEMENT, function=RingFunction.QUERY_TASK_SET, nexus=1)
        hostile.repeat(sys.maxsize)
    os.set_blocking(hostile.attached.response_bell, False)
    hostile.wildness = 0.02

    def flip() -> None:
        while True:
            hostile.flip()

    threading.Thread(target=flip, daemon=True).start()
    while True:
        hostile.run(64)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
