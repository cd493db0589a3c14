"""A back end that does what a test says, beside a front end on an emulated machine."""

import asyncio

import pytest_asyncio
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.platform.contract import Copy, Piece
from tgtcore_xen.platform.emulated import Emulated, EmulatedOptions, EmulatedXen
from tgtcore_xen.vscsiif.layout import Direction
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.ring import BackRing
from tgtcore_xen.vscsiif.segments import parse_segments

PATIENCE_S = 10


class Back:
    """Answers requests with what ``answer`` says of each: a response, or None for later."""

    def __init__(self, machine, guest, number=0, sg_grant=128):
        self.machine = machine
        self.platform = Emulated(EmulatedOptions(machine="front"), machine.loop)
        self.guest = guest
        self.number = number
        self.sg_grant = sg_grant
        self.requests = []
        self.answer = lambda request: Response(request.rqid, 0)
        self.mapping = None

    @property
    def folder(self):
        return f"/local/domain/0/backend/vscsi/{self.guest.domid}/{self.number}"

    @property
    def front(self):
        return f"{self.guest.home}/device/vscsi/{self.number}"

    async def attach(self, *devices):
        store = self.platform.store
        await self.platform.open()
        for path, owner, reader in (
            (self.folder, 0, self.guest.domid),
            (self.front, self.guest.domid, 0),
        ):
            await store.make(path)
            await store.permit(path, (f"n{owner}", f"r{reader}"))
        for number, device in enumerate(devices):
            await self.write(f"vscsi-devs/dev-{number}/v-dev", device)
            await self.state(1, number)
        await self.write("feature-sg-grant", self.sg_grant)
        await self.write("state", 2)
        await store.write(f"{self.front}/backend", self.folder)
        await store.write(f"{self.front}/backend-id", "0")
        await store.write(f"{self.front}/state", "1")

    async def write(self, node, value):
        await self.platform.store.write(f"{self.folder}/{node}", str(value))

    async def state(self, state, device=None):
        await self.write("state" if device is None else f"vscsi-devs/dev-{device}/state", state)

    async def read(self, node):
        return await self.platform.store.read(f"{self.front}/{node}")

    async def until(self, node, value):
        async with asyncio.timeout(PATIENCE_S):
            while await self.read(node) != str(value):  # which gives the loop a turn
                pass

    async def connect(self):
        """Map the ring that the front end names, and say so."""
        await self.until("state", 3)
        self.mapping = self.platform.grants.map(self.guest.domid, int(await self.read("ring-ref")))
        self.ring = BackRing(self.mapping.view)
        port = int(await self.read("event-channel"))
        self.channel = self.platform.channels.bind(self.guest.domid, port, self.serve)

    async def accept(self):
        await self.connect()
        await self.offer()

    async def offer(self):
        """Say that it is connected, and what there is."""
        for name in await self.platform.store.list(f"{self.folder}/vscsi-devs"):
            await self.write(f"vscsi-devs/{name}/state", 3)
        await self.state(4)

    def serve(self):
        while True:
            for slot in self.ring.take():
                request = Request.parse(slot, self.sg_grant)
                self.requests.append(request)
                response = self.answer(request)
                if response is not None:
                    self.ring.put(response.build())
            self.publish()
            if not self.ring.rest():
                break

    def publish(self):
        if self.ring.publish():
            self.channel.notify()

    def respond(self, *responses):
        for response in responses:
            self.ring.put(response.build())
        self.publish()

    def segments(self, request):
        """Where the data of a command is."""
        if not request.indirect:
            return request.segments
        records = bytearray(request.length)
        assert self.copy(request.segments, records, to_guest=False)
        return parse_segments(records)[0]

    def copy(self, segments, memory, *, to_guest):
        pieces = [Piece(*segment) for segment in segments]
        (done,) = self.platform.grants.copy([Copy(self.guest.domid, to_guest, pieces, memory)])
        return done

    def disk(self, request):
        """Answer with what was written last."""
        segments = self.segments(request)
        length = sum(segment[2] for segment in segments)
        if request.direction == Direction.TO_DEVICE:
            self.written = bytearray(length)
            assert self.copy(segments, self.written, to_guest=False)
        elif request.direction == Direction.FROM_DEVICE:
            assert self.copy(segments, self.written[:length], to_guest=True)
        return Response(request.rqid, 0)

    def disconnect(self):
        if self.mapping is not None:
            self.channel.close()
            self.ring.release()
            self.mapping.close()
            self.mapping = None

    async def detach(self):
        self.disconnect()
        for path in (self.folder, self.front):
            await self.platform.store.remove(path)
        await self.platform.close()


class Pair:
    """A front end and its back end."""

    def __init__(self):
        self.machine = EmulatedXen.named("front")
        self.guest = self.machine.create("web1")
        self.back = Back(self.machine, self.guest)
        self.front = FrontEnd(self.guest)

    async def connect(self, *devices):
        await self.back.attach(*devices or ("0:0:0:0",))
        connecting = asyncio.create_task(self.front.connect(PATIENCE_S))
        await self.back.accept()
        await connecting


@pytest_asyncio.fixture
async def pair():
    pair = Pair()
    yield pair
    await pair.front.unload()
    await pair.back.detach()
    assert pair.guest.granted == 0
    assert pair.machine.ports.of(pair.guest.domid) == []


@pytest_asyncio.fixture
async def connected(pair):
    await pair.connect("0:0:0:0", "0:0:1:5")
    pair.back.answer = pair.back.disk
    return pair
