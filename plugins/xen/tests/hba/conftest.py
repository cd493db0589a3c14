"""A core with a small device behind a virtual HBA, on an emulated machine, and a front end that writes its ring slot by slot."""

import struct
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tgtcore_srp.memory import Memory
from tgtcore_xen.hba.connection import Connection, Limits, RingPlace
from tgtcore_xen.hba.figures import Logged
from tgtcore_xen.hba.journal import Journal
from tgtcore_xen.platform.contract import PAGE_BYTES, Copy
from tgtcore_xen.platform.emulated import Emulated, EmulatedGuest, EmulatedOptions, EmulatedXen
from tgtcore_xen.vscsiif.layout import INDEX_MASK, Act, Direction
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.ring import FrontRing
from tgtcore_xen.vscsiif.segments import Segment, build_segments

from tgtcore import InitiatorPort, Nexus, TargetPort
from tgtcore.testing.host import SmallDevice, TestHost

PLENTY = 1 << 24
PAGES = 48
SG_GRANT = 64


class Loop:
    """Calls what is to be called soon when the test says so."""

    def __init__(self) -> None:
        self.soon: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def call_soon(self, function: Callable[..., None], *arguments: Any) -> None:
        self.soon.append((function, arguments))

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            function, arguments = self.soon.popleft()
            function(*arguments)

    def run(self) -> None:
        turns = 0
        while self.soon:
            turns += 1
            assert turns < 1000, "it never comes to rest"
            self.turn()


class Devices:
    """LUN n is 0:n."""

    def __init__(self, luns: int = 3) -> None:
        self.luns = luns
        """The last one has no logical unit."""

    def lun_of(self, channel: int, target: int, lun: int) -> int | None:
        return lun if not channel and not target and lun < self.luns else None


class Front:
    """The other end: a guest with a ring and pages for data."""

    def __init__(self, guest: EmulatedGuest) -> None:
        self.guest = guest
        self.page = guest.page()
        self.ring = FrontRing(self.page.view)
        self.reference = guest.grant(self.page)
        self.channel = guest.channel(self._told)
        self.pages = [guest.page() for _ in range(PAGES)]
        self.references = [guest.grant(page) for page in self.pages]
        self.notified = 0
        self.responses: list[Response] = []
        """All that have come, in order."""

    def _told(self) -> None:
        self.notified += 1
        self.take_responses()

    def take_responses(self) -> None:
        """Take all that have come."""
        while True:
            self.responses += map(Response.parse, self.ring.take())
            if not self.ring.rest():
                return

    def advance(self, index: int) -> None:
        """Let its ring be as if it had been used for long."""
        after = (index + 1) & INDEX_MASK
        struct.pack_into("<4I", self.page.view, 0, index, after, index, after)
        self.ring.consumer = self.ring.producer = self.ring._published = index

    def place(self) -> RingPlace:
        return RingPlace(self.guest.domid, self.reference, self.channel.port)

    # ---- memory -------------------------------------------------------------------------------------------------------

    def segments(self, length: int, page: int = 0, offset: int = 0) -> list[Segment]:
        """So many bytes of its pages, from one on."""
        found, at = [], offset
        while length:
            count = min(length, PAGE_BYTES - at)
            found.append((self.references[page], at, count))
            length -= count
            page, at = page + 1, 0
        return found

    def data(self, segments: Sequence[Segment]) -> bytes:
        return b"".join(
            bytes(self.pages[self.references.index(reference)].view[offset : offset + length])
            for reference, offset, length in segments
        )

    def fill(self, segments: Sequence[Segment], data: bytes) -> None:
        at = 0
        for reference, offset, length in segments:
            part = data[at : at + length]
            self.pages[self.references.index(reference)].view[offset : offset + len(part)] = part
            at += length

    def table(self, segments: Sequence[Segment], page: int = PAGES - 1) -> list[Segment]:
        """Segments that say where others are."""
        records = build_segments(segments)
        tables = self.segments(len(records), page)
        self.fill(tables, records)
        return tables

    # ---- requests -----------------------------------------------------------------------------------------------------

    @staticmethod
    def command(
        rqid: int, cdb: bytes, segments: Sequence[Segment] = (), *, out: bool = False, lun: int = 0, **more: Any
    ) -> Request:
        direction = Direction.NONE if not segments else Direction.TO_DEVICE if out else Direction.FROM_DEVICE
        length = sum(length for _, _, length in segments)
        return Request(rqid, Act.COMMAND, 0, 0, lun, cdb.ljust(16, b"\0"), direction, 0, segments, length, **more)

    @staticmethod
    def abort(rqid: int, other: int, lun: int = 0) -> Request:
        return Request(rqid, Act.ABORT, 0, 0, lun, ref_rqid=other)

    @staticmethod
    def reset(rqid: int, lun: int = 0) -> Request:
        return Request(rqid, Act.RESET, 0, 0, lun)

    def put(self, *requests: Request | bytes) -> None:
        """Put requests in the ring, and notify if that is wanted."""
        assert self.ring.room >= len(requests)
        for request in requests:
            self.ring.put(request.build() if isinstance(request, Request) else request)
        if self.ring.publish():
            self.channel.notify()

    def take(self) -> list[Response]:
        """What has come."""
        found, self.responses = self.responses, []
        return found


class Bench:
    """A target, a machine, and connections with a front end."""

    def __init__(self, folder: Path, memory: Memory | None = None, sg_grant: int = SG_GRANT) -> None:
        self.folder = folder
        self.loop = Loop()
        self.machine = EmulatedXen.named("bench", self.loop)  # type: ignore[arg-type]
        self.guest = self.machine.create("web1", pages=PAGES + 2)
        self.front = Front(self.guest)
        self.sg_grant = sg_grant
        self.broken: list[str] = []
        self.start(memory)

    def start(self, memory: Memory | None = None) -> None:
        """The process of a back end begins; it knows nothing of one before it."""
        self.memory = memory or Memory(PLENTY)
        self.host = TestHost(None, "xen", "disk")  # type: ignore[arg-type]
        self.platform = Emulated(EmulatedOptions(machine="bench"), self.loop)  # type: ignore[arg-type]
        self.nexus = self.open_nexus()
        self.devices = Devices()

    def open_nexus(self) -> Nexus:
        initiator = InitiatorPort("web1", b"\x01" * 24)
        return self.host.open_nexus(self.host.target, initiator, TargetPort("web1/0", 1, 1, 4))

    def connect(
        self, journal: Journal | None = None, *, start: bool = True, place: RingPlace | None = None
    ) -> Connection:
        self.connection = Connection(
            "web1/0",
            self.platform,
            place or self.front.place(),
            self.nexus,
            self.devices,
            Limits(self.sg_grant, self.memory, Logged()),
            journal,
            self.broken.append,
        )
        if start:
            self.connection.start()
            self.loop.run()
        return self.connection

    def device(self, lun: int = 0) -> SmallDevice:
        return self.host.device(lun)

    def ask(self, *requests: Request | bytes) -> list[Response]:
        """Put requests and let everything happen that happens by itself; the responses."""
        self.front.put(*requests)
        self.loop.run()
        return self.front.take()

    def end_connection(self) -> None:
        over: list[bool] = []
        self.connection.close(lambda: over.append(True))
        assert over == [True]

    def end(self) -> None:
        """End everything; nothing is left."""
        over: list[bool] = []
        self.connection.close(lambda: over.append(True))
        for lun in range(2):
            self.device(lun).release()
        self.nexus.close(lambda: over.append(True))
        self.loop.run()
        assert over == [True, True]
        assert (self.memory.held_bytes, self.memory.data_bytes, self.memory.sharers) == (0, 0, 0)
        assert not self.platform.grants.mappings
        assert not self.machine.ports.of(0)
        self.host.check_quiet()
        self.guest.destroy()


class Watched:
    """Every copy that the platform is asked for."""

    def __init__(self, bench: Bench) -> None:
        self.copies: list[Copy] = []
        self._copy = bench.platform.grants.copy
        bench.platform.grants.copy = self.copy  # type: ignore[method-assign]

    def copy(self, copies: Sequence[Copy]) -> list[bool]:
        self.copies += copies
        return self._copy(copies)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A connection that has begun."""
    made = Bench(tmp_path)
    made.connect()
    return made


@pytest.fixture
def watched(bench: Bench) -> Watched:
    """What it copies."""
    return Watched(bench)


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    """Makes a connection that has begun, unless ``connect`` says otherwise.

    ``index``: how many requests its ring has seen.
    """

    def make(*, index: int = 0, connect: bool = True, **more: Any) -> Bench:
        made = Bench(tmp_path, **more)
        made.front.advance(index)
        if connect:
            made.connect()
        return made

    return make
