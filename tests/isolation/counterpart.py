"""The core's end of a ring, driven by hand: what a driver says is kept, and answered when a test says so."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tgtcore.isolation.correspondent import Correspondent
from tgtcore.isolation.remote_nexus import RemoteNexus
from tgtcore.nexus import InitiatorPort, TargetPort
from tgtcore.options import NoOptions
from tgtcore.ring import Attached, CoreEnd, Event, Geometry, Request, Response, doorbell, messages
from tgtcore.ring.memory import Memory, create
from tgtcore.target import Target
from tgtcore.task import Task

KIB = 1024
GEOMETRY = Geometry(depth=128, data_bytes=1536 * KIB, events=4, event_bytes=4096)
COMMANDS_MAX = 64
"""Commands that may be under way: the others are for what is no command."""
LARGEST = 256 * KIB
"""The largest place that a command may have."""
_TURNS = 40
"""Of the loop, until everything that was said has come: both ends are on it, so nothing takes longer."""


class StandingClock:
    """A loop whose clock stands still: a core that goes by it takes all that was announced in one turn, on a slow machine too."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def time(self) -> float:
        return 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Said(NamedTuple):
    """A request as it came."""

    kind: Request
    fields: dict[str, Any]
    payload: bytes

    @property
    def id(self) -> int:
        return int(self.fields["id"])


class Counterpart:
    """One end of a ring, with the other end's :class:`Correspondent`."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        fd = create(GEOMETRY, bytes(4096))
        self.memory, memory = Memory(fd, GEOMETRY), Memory(fd, GEOMETRY)
        os.close(fd)
        requests, responses = doorbell.make(), doorbell.make()
        self.link, self.far_link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.breaches: list[str] = []
        self.said: list[Said] = []
        """What has come and was not answered at once."""
        self.answers: dict[Request, Callable[[Said], None]] = {}
        """What to do with a request as soon as it comes."""
        handlers = dict.fromkeys(map(int, Request), self._heard)
        still: Any = StandingClock(loop)
        self.end = CoreEnd(self.memory, requests[0], responses[1], still, handlers, self.breaches.append)
        self.events: list[bytes] = []
        attached = Attached(self.far_link, memory, requests[1], responses[0], "", os.getpid())
        self.correspondent = Correspondent(attached, loop, {int(Event.SHOW): self._told})
        self.correspondent.end.before_waiting = self.end.serve_now
        self.target = Target("t", 7, "tested", NoOptions())
        self._nexuses = 0

    def close(self) -> None:
        self.correspondent.end.close()
        self.end.close()
        self.link.close()
        self.far_link.close()
        assert self.breaches == []

    def _told(self, slots: memoryview, at: int) -> None:
        self.events.append(bytes(slots[at : at + messages.EVENT.size]))

    def _heard(self, slots: memoryview, at: int) -> None:
        kind = Request(slots[at])
        layout = messages.REQUESTS[kind]
        names = (field.name for field in layout.fields)
        fields = dict(zip(names, layout.unpack_from(slots, at), strict=True))
        payload = bytes(self.end.piece(fields["offset"], fields["length"])) if "offset" in fields else b""
        said = Said(kind, fields, payload)
        self.answers.get(kind, self.said.append)(said)

    def say(self, kind: Response | Event, **fields: Any) -> None:
        """Post a response or an event; fields that are not given are zeroes."""
        layout = messages.RESPONSES[kind] if isinstance(kind, Response) else messages.EVENT
        usual = {field.name: b"" if isinstance(field.kind, int) else 0 for field in layout.fields}
        assert fields.keys() <= usual.keys()
        layout.pack_into(self.end.responses, self.end.slot(), *{**usual, "type": kind, **fields}.values())

    async def heard(self, *kinds: Request) -> list[Said]:
        """Everything that has been said, which is of these kinds."""
        await settled()
        said = list(self.said)
        self.said.clear()
        assert tuple(one.kind for one in said) == kinds
        return said

    async def complete(self, said: Said, **fields: Any) -> None:
        """End a command."""
        self.say(Response.COMPLETION, id=said.id, **fields)
        await settled()

    def nexus(self, name: str = "host") -> RemoteNexus:
        """One that is open."""
        self._nexuses += 1
        made = RemoteNexus(
            self.target, InitiatorPort(name, b"id"), TargetPort("p", 1, 1, 5), self.correspondent, self._nexuses
        )
        self.target.nexus_opened(made)
        return made


class Command(Task):
    """A command of a test."""

    ended = 0
    wants = 0

    def done(self) -> None:
        self.ended += 1

    def want_data(self) -> None:
        self.wants += 1

    @property
    def result(self) -> tuple[int, bytes, bool]:
        """Status, data-in and whether there is a response, of one that has ended."""
        assert self.ended == 1
        return self.status * self.responds, bytes(self.data_in or b""), self.responds  # type: ignore[arg-type]


def command(
    nexus: RemoteNexus, *, lun: int = 0, cdb: bytes = bytes(16), data: bytes = b"", out: int = 0, room: int = 0
) -> Command:
    """One that is passed on now, or waits."""
    made = Command(nexus, lun, len(nexus.tasks), 1, cdb, max(out, len(data)), room)
    if data:
        made.data_out = data
    nexus.submit(made)
    return made


async def crowd(core: Counterpart) -> list[Said]:
    """As many commands as there are places for, of LUNs of their own."""
    nexus = core.nexus("crowd")
    for number in range(COMMANDS_MAX):
        command(nexus, lun=1000 + number)
    return await core.heard(*[Request.COMMAND] * COMMANDS_MAX)


async def settled() -> None:
    """Return when all that was said has been heard."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def counterpart() -> AsyncIterator[Counterpart]:
    """A ring, and at its end one that nobody has broken."""
    made = Counterpart()
    try:
        yield made
    finally:
        made.close()
