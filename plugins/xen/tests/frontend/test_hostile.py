"""The hostile front end does all of what it can, comes back again and again, and does the same with the same seed."""

import asyncio
from random import Random

import pytest
from tgtcore_xen.frontend.hostile import HostileFrontEnd
from tgtcore_xen.frontend.hostile.front import _ACTS, RINGS
from tgtcore_xen.frontend.hostile.memory import PAGES
from tgtcore_xen.platform.contract import Copy, Piece
from tgtcore_xen.platform.emulated import Emulated, EmulatedOptions, EmulatedXen
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions, Right
from tgtcore_xen.vscsiif.errors import RingBroken
from tgtcore_xen.vscsiif.ring import BackRing
from tgtcore_xen.xenbus.paths import HbaPaths

from tgtcore.testing.host import HELD, READY, read, write

CDBS = (READY, HELD, read(512), write(512))
ACTS = 6_000


class CarelessBack:
    """Goes through the handshake whatever comes, and answers nothing."""

    def __init__(self, name, machine):
        self.platform = Emulated(EmulatedOptions(machine=name), machine.loop)
        self.server = machine.server
        self.held = ()
        self.requests = 0
        self.broken = 0

    def attend(self, guest):
        place = HbaPaths(0, guest.domid, 0)
        states = [self.number(f"{folder}/state") for folder in (place.back, place.front)]
        if states[1] is None:
            self.let_go()
            self.make(place, guest.domid)
        elif states == [2, 3]:
            self.serve(guest.domid, place)
        elif states[0] == 4 and states[1] in (1, 5, 6):
            self.let_go()
            self.server.write(0, f"{place.back}/state", b"5")
        elif states[0] in (5, 6):
            self.let_go()
            self.server.remove(0, place.back)
            self.server.remove(0, place.front)

    def number(self, path):
        try:
            value = self.server.read(0, path)
        except FileNotFoundError:
            return None
        return int(value) if value in {b"%d" % state for state in range(9)} else -1

    def make(self, place, domid):
        for path in (place.back, place.front):
            self.server.make(0, path)
        guests = f"/local/domain/{domid}/device"
        self.server.write(0, f"{place.back}/vscsi-devs/dev-0/state", b"3")
        for path in (place.back, f"{place.back}/vscsi-devs", f"{place.back}/vscsi-devs/dev-0", guests):
            self.server.permit(0, path, Permissions(0, Right.READ))
        self.server.permit(0, place.front, Permissions(domid, Right.NONE))
        self.server.write(0, f"{place.back}/state", b"2")
        self.server.write(0, f"{place.front}/state", b"1")

    def serve(self, domid, place):
        self.let_go()
        try:
            mapping = self.platform.grants.map(domid, self.number_of(f"{place.front}/ring-ref"))
        except OSError:
            self.server.write(0, f"{place.back}/state", b"5")
            return
        self.held = (mapping,)
        try:
            channel = self.platform.channels.bind(
                domid, self.number_of(f"{place.front}/event-channel"), lambda: self.drain(domid, ring)
            )
        except OSError:
            self.server.write(0, f"{place.back}/state", b"5")
            return
        ring = BackRing(mapping.view)
        self.held = (channel, ring, mapping)
        self.server.write(0, f"{place.back}/state", b"4")

    def number_of(self, path):
        try:
            return int(self.server.read(0, path))
        except (OSError, ValueError):
            return 0

    def drain(self, domid, ring):
        try:
            for slot in ring.take():
                self.requests += 1
                reference = int.from_bytes(slot[32:36], "little")
                copy = Copy(domid, False, [Piece(reference, 0, 512)], memoryview(bytearray(512)))
                self.platform.grants.copy([copy])
                ring.put(bytes(252))
        except RingBroken:
            self.broken += 1
            ring.consumer = ring.producer = ring._words[0]
        ring.publish()
        ring.rest()

    def let_go(self):
        if len(self.held) == 3:
            channel, ring, mapping = self.held
            channel.close()
            ring.release()
            mapping.close()
        elif self.held:
            self.held[0].close()
        self.held = ()


async def attack(name, seed, acts):
    machine = EmulatedXen.named(name)
    back = CarelessBack(name, machine)
    await back.platform.open()
    random = Random(seed)
    front = None
    done, connections, mischief = {}, 0, 0

    def meddle(*_):
        if front is not None:
            front.meddle(0.02)
        return False

    machine.faults.copy_fails = meddle
    for number in range(acts):
        if front is None or front.dead:
            if front is not None:
                connections += front.connections
                mischief += front.mischief
                done = {name: done.get(name, 0) + front.acts[name] for name in _ACTS}
            guest = machine.create("bad")
            front = HostileFrontEnd(guest, random, CDBS, [(0, 0, 0), (0, 0, 7)])
        front.act()
        if number % 4 == 0:
            back.attend(front.guest)
            await asyncio.sleep(0)
    front.guest.destroy()
    back.let_go()
    await back.platform.close()
    assert machine.in_use()[:2] == (0, 0)
    return done, connections, mischief, back.requests, back.broken, list(front.last)


@pytest.mark.asyncio
async def test_it_does_everything_and_comes_back():
    done, connections, mischief, requests, broken, _ = await attack("hostile", 1, ACTS)
    assert {name for name, count in done.items() if not count} == set()
    assert connections > ACTS / 1000
    assert mischief > ACTS / 1000
    assert requests > ACTS / 4
    assert broken > 1


@pytest.mark.asyncio
async def test_the_same_seed_does_the_same():
    assert await attack("first", 2, 1000) == await attack("second", 2, 1000)


@pytest.mark.asyncio
async def test_it_gives_up_before_its_guest_has_no_page_left():
    machine = EmulatedXen.named("small")
    front = HostileFrontEnd(machine.create("bad", pages=PAGES + RINGS), Random(3), CDBS, [(0, 0, 0)])
    for _ in range(RINGS):
        front.resume()
    assert not front.dead
    front.resume()
    assert front.dead
