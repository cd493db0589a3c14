"""Clients that send anything at all: only their own session ends, every time, and a neighbour does not notice."""

import logging
import random
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING
from tgtcore_ibmvio.platform import Hcall
from tgtcore_srp.iu.login import LoginRequest

from tgtcore.testing.host import HELD, READY, read, write

ELEMENTS = 130
"""Things that happen in each example, most of them elements."""

GOLDEN = Path(__file__).parents[1] / "golden" / "client_ius.txt"
RECORDED = [
    bytes.fromhex(line.split()[2]).ljust(256, b"\0")
    for line in GOLDEN.read_text().splitlines()
    if line.startswith("request ")
]
LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
DEREGISTERED = bytes((0xFF, 2)) + bytes(14)
MEMORY_BYTES = 1 << 16
DATA = 0x8000


class Client:
    """Says what a seed wants."""

    def __init__(self, scene, seed):
        self.scene = scene
        self.random = random.Random(seed)
        self.tag = 0

    def go_on(self):
        """Do one thing; without a session mostly log in, for that is where most can go wrong."""
        if self.scene.server.session is None and self.random.random() < 0.7:
            self.log_in()
            return
        actions, weights = zip(*ACTIONS.items(), strict=True)
        self.random.choices(actions, weights)[0](self)

    def _send(self, iu, format_, length=256):
        nowhere = (MEMORY_BYTES - 128, self.random.getrandbits(64))
        address = self.random.choice(nowhere) if self.random.random() < 0.02 else self.random.randrange(64) * 256
        room = self.scene.adapter.memory[address : address + 256]
        if len(room) == 256:
            self.scene.adapter.memory[address : address + 256] = iu[:256].ljust(256, b"\0")
        self.scene.element(FIELDS.pack(0x80, format_, 0, 30, length, address))

    def _mutated(self, iu):
        changed = bytearray(iu.ljust(64, b"\0"))
        for _ in range(self.random.choice((0, 0, 1, 2, 8))):
            changed[self.random.randrange(64)] = self.random.choice(
                (0, 1, 0x7F, 0x80, 0xFF, self.random.getrandbits(8))
            )
        return bytes(changed)

    def greet(self):
        self.scene.element(self.random.choice((INIT, INIT_COMPLETE, PING)))

    def log_in(self):
        self.scene.element(INIT)
        self._send(self._mutated(LOGIN) if self.random.random() < 0.2 else LOGIN, 1)

    def command(self):
        self.tag += self.random.choice((0, 1, 1, 1))
        length = self.random.choice((0, 1, 512, 1001, 4096))
        cdb = self.random.choice((READY, HELD, read(length), write(length), self.random.randbytes(16))).ljust(16, b"\0")
        formats = self.random.choice((0, 0x01, 0x10, 0x02, 0x20, 0x11, 0x22, self.random.getrandbits(8)))
        lun = self.random.choice((0x8000, 0x8001, 0xC101, self.random.getrandbits(16))) << 48
        header = struct.pack(">BB3xBBBQ4xQxBxB16s", 2, 0, formats, 0, 0, self.tag, lun, 0, 0, cdb)
        descriptor = struct.pack(">QII", DATA, 0, self.random.choice((length, 32, 0xFFFFFFFF)))
        table = struct.pack(">QII", DATA, 0, length // 2) + struct.pack(">QII", DATA + 8192, 0, length - length // 2)
        self.scene.adapter.memory[DATA : DATA + 32] = table
        self._send(self._mutated(header + descriptor + struct.pack(">I", length) + table), 1)

    def recorded(self):
        self._send(self._mutated(self.random.choice(RECORDED)), self.random.choice((1, 1, 1, 2, 3)))

    def datagram(self):
        kind = self.random.choice((1, 2, 3, 4, 5, 8, self.random.getrandbits(32)))
        length = self.random.choice((0, 80, 148, self.random.getrandbits(16)))
        address = self.random.choice((DATA, self.random.getrandbits(64)))
        self._send(struct.pack(">IHHQQ", kind, 0, length, 1, address), 2, self.random.choice((256, 24, 16, 0)))

    def event(self):
        code, status = self.random.choice((1, 2, 6, 9, 10, self.random.getrandbits(8))), self.random.choice((0, 0x20))
        self.scene.element(bytes((0xFF, code, 0, status)) + bytes(12))

    def noise(self):
        self.scene.element(self.random.randbytes(16))

    def release(self):
        self.scene.host.device(self.random.randrange(2)).release()
        self.scene.clock.advance(self.random.choice((0, 0.001, 0.1)))

    def hypervisor(self):
        """The platform has moods."""
        call = self.random.choice(("send", "send", "read", "write", "enable", "register", "free"))
        moods = [Hcall.SUCCESS] * 3 + [self.random.choice(list(Hcall)) for _ in range(2)]
        self.random.shuffle(moods)
        self.scene.adapter.answers[call] = [*moods, Hcall.SUCCESS]

    def queue(self):
        self.scene.server.keep()
        self.scene.clock.advance(self.random.choice((0, 0.001, 40)))


ACTIONS = {
    Client.greet: 1,
    Client.log_in: 1,
    Client.command: 40,
    Client.recorded: 15,
    Client.datagram: 5,
    Client.event: 2,
    Client.noise: 1,
    Client.release: 10,
    Client.hypervisor: 3,
    Client.queue: 3,
}


class Defects(logging.Handler):
    """Collects what the code did not expect of itself; what it says of clients and platforms is not shown."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        if record.exc_info:
            self.found.append(self.format(record))


@pytest.fixture
def defects(caplog):
    caplog.set_level(logging.CRITICAL, "tgtcore_ibmvio")
    logger, handler = logging.getLogger("tgtcore_srp"), Defects()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    yield handler.found
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagates


def attack(make_scene, defects, seed):
    hostile = make_scene(MEMORY_BYTES)
    neighbour = make_scene(memory=hostile.memory)
    neighbour.log_in()
    client = Client(hostile, seed)
    for number in range(ELEMENTS):
        client.go_on()
        assert not defects, defects
        if number % 20 == 0:
            assert neighbour.command(READY, 5).status == 0
    hostile.adapter.answers.clear()
    hostile.clock.advance(1200)  # the platform may have said ten times that it is to be asked in 100 s
    hostile.host.device(0).release()
    hostile.host.device(1).release()
    hostile.server.keep()
    hostile.clock.advance(1)
    assert hostile.works(), "it may begin again"
    assert neighbour.command(READY, 6).status == 0
    neighbour.element(DEREGISTERED)
    hostile.check_quiet()


SETTINGS = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow], "deadline": None}
SEEDS = st.integers(0, (1 << 64) - 1)


@given(SEEDS)
@settings(max_examples=25, **SETTINGS)
def test_only_its_own_session_ends(make_scene, defects, seed):
    attack(make_scene, defects, seed)


@pytest.mark.fuzz
@given(SEEDS)
@settings(max_examples=1000, **SETTINGS)
def test_only_its_own_session_ends_whatever_comes(make_scene, defects, seed):
    attack(make_scene, defects, seed)
