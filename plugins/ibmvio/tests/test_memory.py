"""Memory runs out, at any moment: no request is lost, and the credits come back."""

import struct
from itertools import count

import pytest
from tgtcore_ibmvio.crq.elements import FIELDS, INIT
from tgtcore_ibmvio.crq.states import State
from tgtcore_ibmvio.options import IbmvioOptions
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import TABLES_BYTES_MAX, BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import Opcode, TaskManagementFunction
from tgtcore_srp.iu.response import Response
from tgtcore_srp.memory import Memory

from tgtcore.testing.host import HELD, READY, read, write

LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
LUN_0 = 0x8000 << 48
GOOD, CHECK_CONDITION, BUSY, TASK_SET_FULL = 0x00, 0x02, 0x08, 0x28
CREDITS = 16
SEGMENTS = tuple(Segment(0x10000 + i * 0x2000, 0, 4096) for i in range(20))
TABLE = Segment(0x8000, 0, len(SEGMENTS) * 16)
LEAST_BYTES = (CREDITS + 8) * 256 + (1 << 20) + TABLES_BYTES_MAX
"""What a configuration must have for each adapter: for its requests, and for one of the largest commands."""
FAST_FAIL = struct.pack(">IHHQ", 8, 0, 0, 99)


class Client:
    """Sends requests as far as its credits allow, and counts what comes back."""

    def __init__(self, scene):
        self.scene = scene
        self.credits = 0
        self.statuses = []
        self.waiting = {}
        scene.adapter.memory[TABLE.address : TABLE.address + TABLE.length] = build_table(SEGMENTS)

    def log_in(self):
        """Log in, as often as it takes."""
        for _ in range(10):
            if self.scene.state is not State.CONNECTED:
                self.scene.server.keep()
                self.scene.element(INIT)
            answers = self.scene.ask(LOGIN)
            self.scene.clock.advance(0)
            if answers and self.scene.adapter.memory[0x1000] == Opcode.LOGIN_RSP:
                self.credits = LoginResponse.parse(bytes(self.scene.adapter.memory[0x1000:0x1100])).delta
                return
        raise AssertionError("ten logins were rejected")

    def send(self, iu, tag):
        assert self.credits > 0
        self.credits -= 1
        self.waiting[tag] = 0x1000 + (tag % 64) * 256
        self._take(self.scene.ask(iu, self.waiting[tag]))

    def _take(self, elements):
        for element in elements:
            *_, length, tag = FIELDS.unpack(element)
            address = self.waiting.pop(tag)
            answer = Response.parse(bytes(self.scene.adapter.memory[address : address + length]))
            self.credits += answer.delta
            if answer.code is None:
                self.statuses.append(answer.status)

    def release(self):
        before = len(self.scene.adapter.sent)
        self.scene.host.device(0).release()
        self._take(self.scene.adapter.sent[before:])

    def work(self):
        """All kinds of requests; some are unfinished at the same time."""
        direct = BufferDescriptor.direct(Segment(0x10000, 0, 65536))
        listed = BufferDescriptor.indirect(TABLE, SEGMENTS, 4)
        fetched = BufferDescriptor.indirect(TABLE, SEGMENTS, 0)
        length = sum(one.length for one in SEGMENTS)
        requests = [
            (READY, None, None),
            (HELD, None, None),
            (read(65536), None, direct),
            (write(65536), direct, None),
            (read(length), None, listed),
            (write(length), fetched, None),
            (read(length), None, fetched),
        ]
        for tag, (cdb, out, in_) in enumerate(requests, 2):
            self.send(Command(tag, LUN_0, 0, cdb.ljust(16, b"\0"), 0, out, in_).build(), tag)
        (answer,) = self.scene.ask(FAST_FAIL, 0x7000, format_=2)
        assert answer[1] == 2
        self.send(TaskManagement(20, LUN_0, TaskManagementFunction.ABORT_TASK, 3).build(), 20)
        self.release()
        assert self.waiting in ({}, {3: 0x1000 + 3 * 256}), "an aborted command needs no answer"


def check(client):
    look(client)
    client.scene.check_quiet()


def look(client):
    assert set(client.statuses) <= {GOOD, BUSY, TASK_SET_FULL}
    client.statuses.clear()
    client.waiting.clear()
    for tag in range(30, 40):
        client.send(Command(tag, LUN_0, 0, READY.ljust(16, b"\0")).build(), tag)
    assert client.credits == CREDITS
    assert client.waiting == {}
    assert set(client.statuses) == {GOOD}


POINTS = 32


@pytest.mark.parametrize("failing", range(POINTS))
def test_an_allocation_that_fails_costs_no_answer_and_no_credit(make_scene, failing):
    numbers = count()

    def make(length):
        if next(numbers) == failing:
            raise MemoryError("as the test wants")
        return bytearray(length)

    client = Client(make_scene(memory=Memory(LEAST_BYTES, make)))
    client.log_in()
    client.work()
    assert next(numbers) > 20
    check(client)


def test_there_are_no_more_allocations_than_were_made_to_fail(make_scene):
    lengths = []
    client = Client(make_scene(memory=Memory(LEAST_BYTES, lambda length: lengths.append(length) or bytearray(length))))
    client.log_in()
    client.work()
    assert len(lengths) <= POINTS
    check(client)


def test_a_command_with_more_than_clients_are_told_is_refused(make_scene):
    """Also where all memory would be there."""
    client = Client(make_scene(memory=Memory(64 << 20)))
    client.log_in()
    most = client.scene.options.transfer_max
    for length, status in ((most + 1, CHECK_CONDITION), (most, GOOD)):
        buffer = BufferDescriptor.direct(Segment(0, 0, length))
        client.send(Command(30, LUN_0, 0, read(512).ljust(16, b"\0"), 0, None, buffer).build(), 30)
        assert client.statuses.pop() == status
    check(client)


@pytest.mark.parametrize("room", [0, 1, 4096, 65536, 100_000])
def test_the_least_budget_serves_all(make_scene, room):
    scene = make_scene()
    scene.memory.budget_bytes = LEAST_BYTES - 4 * 256 + room
    client = Client(scene)
    client.log_in()
    client.work()
    check(client)


@pytest.mark.parametrize("out", [True, False])
def test_at_the_least_budget_all_clients_that_try_again_are_served(make_scene, out):
    """Two that always send as many of the largest commands as they may, and one that reads a little."""
    memory = Memory(3 * LEAST_BYTES)
    addresses = [{"address": str(number)} for number in range(3)]
    assert IbmvioOptions(portals=addresses, credits=CREDITS, memory=3 * LEAST_BYTES, emulated={"directory": "/none"})
    clients = [Client(make_scene(1 << 21, memory=memory)) for _ in range(3)]
    *greedy, small = clients
    for client in clients:
        client.log_in()
        client.scene.host.device(0).hangs = True
    tags = count(2)
    whole = BufferDescriptor.direct(Segment(1 << 20, 0, 1 << 20))
    for _ in range(5):
        for client in greedy:
            for _ in range(client.credits):
                cdb = (write(1 << 20) if out else HELD).ljust(16, b"\0")
                tag = next(tags)
                client.send(Command(tag, LUN_0, 0, cdb, 0, *((whole, None) if out else (None, whole))).build(), tag)
        assert memory.held_bytes <= memory.budget_bytes
        small.send(Command(9, LUN_0, 0, read(512).ljust(16, b"\0"), 0, None, whole).build(), 9)
        assert small.statuses.pop() == GOOD
        for client in greedy:
            client.release()
            assert GOOD in client.statuses
            assert set(client.statuses) <= {GOOD, TASK_SET_FULL}
            client.statuses.clear()
    for client in clients:
        client.scene.host.device(0).hangs = False
        look(client)
        client.scene.element(bytes((0xFF, 2)) + bytes(14))
    assert memory.held_bytes == 0
