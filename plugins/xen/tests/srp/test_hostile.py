"""Front ends of SRP that send anything at all: each is cut off with a message, or answered; nothing is left of it."""

import asyncio
import logging
import struct
from random import Random

import pytest
from tgtcore_srp.iu.login import LoginRequest
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_xen.srp.layout import build_slot
from tgtcore_xen.vscsiif.layout import SLOTS

from tgtcore.testing.host import HELD, READY, read, write

LOGIN = LoginRequest(1, 64, 6, bytes(16), bytes(16)).build()
CDBS = (READY, HELD, read(512), read(5000), write(512), write(70_000))
UNITS_OF_ONE = 200


class Hostile:
    """Writes slots, and never looks at an answer."""

    def __init__(self, scene, random):
        self.scene = scene
        self.random = random
        self.guest = scene.guest
        self.pages = [self.guest.page() for _ in range(8)]
        self.references = [self.guest.grant(page) for page in self.pages]
        self.tag = 0
        for page in self.pages[:2]:
            page.view[:] = b"".join(self.segment() for _ in range(256))

    def segment(self):
        reference = self.random.choice((*self.references, *self.references, 0, 0xFFFFFFFF))
        address = self.random.choice((0, 0, 0, 512, 4095, 4096, 1 << 63))
        return struct.pack(">QII", address, reference, self.random.choice((512, 512, 1, 4096, 0, 0xFFFFFFFF)))

    def command(self):
        self.tag += self.random.choice((0, 1, 1, 1))
        formats = self.random.choice((0, 0x01, 0x10, 0x02, 0x20, 0x11, self.random.getrandbits(8)))
        cdb = self.random.choice(CDBS).ljust(16, b"\0")
        header = struct.pack(
            ">BB3xBBBQ4xQxBxB16s", 2, 0, formats, 0, 0, self.tag, self.random.choice((0, 1 << 48)), 0, 0, cdb
        )
        if formats in (0x02, 0x20):
            table = struct.pack(">QII", 0, self.references[0], 16 * self.random.choice((1, 2, 256, 257)))
            return header + table + struct.pack(">I", self.random.choice((512, 1024, 1 << 20)))
        return header + self.segment() + self.segment()

    def unit(self):
        kind = self.random.random()
        if kind < 0.7:
            unit = self.command()
        elif kind < 0.85:
            function = self.random.choice((1, 2, 8, 0x40, 0))
            unit = TaskManagement(
                self.random.getrandbits(16), 0, function, self.random.randrange(max(1, self.tag))
            ).build()
        elif kind < 0.995:
            unit = LOGIN
        else:
            unit = self.random.randbytes(self.random.randrange(249))
        if self.random.random() < 0.1:
            changed = bytearray(unit)
            changed[self.random.randrange(len(changed) or 1) if changed else slice(0)] = self.random.getrandbits(8)
            unit = bytes(changed)
        return unit

    async def attack(self):
        self.put(LOGIN)
        for _ in range(UNITS_OF_ONE):
            if self.scene.broken:
                return
            if self.room:
                self.put(self.unit())
            if self.random.random() < 0.1:
                self.pages[0].view[:16] = self.segment()
            if self.random.random() < 0.05:
                for lun in range(2):
                    self.scene.host.device(lun).release()
            if self.random.random() < 0.3 or not self.room:
                await asyncio.sleep(0)

    @property
    def room(self):
        ring = self.scene.ring._ring
        return SLOTS - ((ring.producer - ring._words[2]) & 0xFFFFFFFF) > 0

    def put(self, unit):
        self.scene.ring._ring.put(build_slot(unit))
        self.scene.ring.submit()


@pytest.mark.asyncio
async def test_nothing_is_left_of_any(make_scene, caplog):
    whys, units = set(), 0
    for seed in range(30):
        scene = make_scene(1 << 20)
        scene.connect()
        scene.ring.look = scene.ring._channel._told = lambda: None
        hostile = Hostile(scene, Random(seed))
        await hostile.attack()
        await scene.settle()
        assert len(scene.broken) <= 1
        whys |= {why.partition(":")[2][:30] for why in scene.broken}
        units += scene.connection.figures.requests
        scene.guest.destroy()
        await scene.close()
    assert len(whys) > 1
    assert units > 1000
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []
