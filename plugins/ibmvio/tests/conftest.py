"""A machine for tests: an adapter whose client's memory is an array, and a clock that goes when the test says so."""

import heapq
import itertools

import pytest
from tgtcore_ibmvio.crq.elements import FIELDS, INIT
from tgtcore_ibmvio.crq.states import State
from tgtcore_ibmvio.options import AdapterOptions, IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.platform import Adapter, Hcall, Partner
from tgtcore_ibmvio.server import AdapterServer, Surroundings
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import Opcode
from tgtcore_srp.iu.response import Response
from tgtcore_srp.memory import Memory

from tgtcore.testing.host import READY, TestHost

COPY_BYTES_MAX = 1000
"""Less than most transfers, so that copying in pieces is tested by all of them."""


class Clock:
    """Timers that fire when time is advanced."""

    def __init__(self):
        self.now_s = 0.0
        self._timers = []
        self._numbers = itertools.count()

    def later(self, delay_s, function):
        timer = Timer(function)
        heapq.heappush(self._timers, (self.now_s + delay_s, next(self._numbers), timer))
        return timer

    def advance(self, seconds):
        until_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= until_s:
            self.now_s, _, timer = heapq.heappop(self._timers)
            if timer.function is not None:
                timer.function()
        self.now_s = until_s

    @property
    def pending(self):
        return sum(timer.function is not None for _, _, timer in self._timers)


class Timer:
    def __init__(self, function):
        self.function = function

    def cancel(self):
        self.function = None


class FakeAdapter(Adapter):
    """What the hypervisor says comes from ``answers``: by call, a list whose last entry is said again and again."""

    def __init__(self, memory_bytes=1 << 20):
        super().__init__(0x30000003, COPY_BYTES_MAX)
        self.memory = bytearray(memory_bytes)
        self.sent = []
        self.calls = []
        self.answers = {}
        self.listener = None
        self.maps_memory = False

    def _say(self, call):
        self.calls.append(call)
        answers = self.answers.get(call, [Hcall.SUCCESS])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def register(self, listener):
        self.listener = listener
        return self._say("register")

    def free(self):
        return self._say("free")

    def send(self, element):
        answer = self._say("send")
        if answer is Hcall.SUCCESS:
            self.sent.append(element)
        return answer

    def enable(self):
        return self._say("enable")

    def ready_for_suspend(self):
        return self._say("ready")

    def read(self, address, into):
        assert len(into) <= self.copy_bytes_max
        answer = self._say("read")
        if not self._mapped(address, len(into)):
            return Hcall.SOURCE_PARM
        if answer is Hcall.SUCCESS:
            into[:] = self.memory[address : address + len(into)]
        return answer

    def write(self, address, data):
        assert len(data) <= self.copy_bytes_max
        answer = self._say("write")
        if not self._mapped(address, len(data)):
            return Hcall.DEST_PARM
        if answer is Hcall.SUCCESS:
            self.memory[address : address + len(data)] = data
        return answer

    def views(self, address, length, *, writable):
        if not self.maps_memory or not self._mapped(address, length):
            return None
        half = length // 2
        view = memoryview(self.memory)
        return [view[address : address + half], view[address + half : address + length]]

    def _mapped(self, address, length):
        return address + length <= len(self.memory)

    @property
    def partner(self):
        return Partner(7, "lpar7")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def adapter():
    return FakeAdapter()


class Loop:
    """What a host needs of an event loop, with the clock's time."""

    def __init__(self, clock):
        self.time = lambda: clock.now_s
        self.call_later = clock.later
        self.call_soon = lambda function: clock.later(0, function)


class Scene:
    """One adapter at work, its client's memory, and the core behind it."""

    ADDRESS = "30000003"

    def __init__(self, clock, adapter, *, memory=None, **target):
        self.clock = clock
        self.adapter = adapter
        self.options = IbmvioOptions(emulated={"directory": "/none"}, credits=16, partition="vios1")
        target_options = IbmvioTargetOptions(adapters=(self.ADDRESS,), **target)
        self.host = TestHost(Loop(clock), "ibmvio", "lpars", target_options)
        self.memory = memory or Memory(4 << 20)
        bounce = memoryview(bytearray(COPY_BYTES_MAX))
        surroundings = Surroundings(self.host, self.memory, lambda: self.options, bounce)
        self.server = AdapterServer(adapter, AdapterOptions(address=self.ADDRESS), surroundings)
        self.server.keep()

    @property
    def state(self):
        return self.server.queue.state

    def element(self, element):
        self.server.queue.element(element)

    def ask(self, iu, address=0x1000, *, format_=1, length=256):
        """Send a request; the answers that come at once, as elements."""
        before = len(self.adapter.sent)
        self.adapter.memory[address : address + 256] = iu.ljust(256, b"\0")
        self.element(FIELDS.pack(0x80, format_, 0, 30, length, address))
        return self.adapter.sent[before:]

    def answer(self, iu, address=0x1000, **how):
        """The only answer to a request, in its place."""
        (element,) = self.ask(iu, address, **how)
        header, format_, status, _, length, tag = FIELDS.unpack(element)
        assert (header, format_, status) == (0x80, 1, 0)
        answer = bytes(self.adapter.memory[address : address + length])
        assert tag == int.from_bytes(answer[8:16], "big")
        return answer

    def connect(self):
        self.element(INIT)
        assert self.state is State.CONNECTED

    def log_in(self):
        """Shake hands and log in; what was granted."""
        self.connect()
        answer = self.answer(LOGIN)
        assert answer[0] == Opcode.LOGIN_RSP
        return LoginResponse.parse(answer)

    def command(self, cdb, tag, **how):
        return Response.parse(self.answer(command(cdb, tag), **how))

    def works(self):
        """Whether a client that begins now is served."""
        self.adapter.answers.clear()
        self.element(INIT)
        self.clock.advance(1)
        return self.answer(LOGIN)[0] == Opcode.LOGIN_RSP and self.command(READY, 5).status == 0

    def check_quiet(self):
        """The client has gone, and nothing is left of it."""
        self.element(bytes((0xFF, 2)) + bytes(14))
        for lun in range(2):
            self.host.device(lun).release()
        self.host.check_quiet()
        assert self.memory.held_bytes == 0
        assert self.host.target.nexuses == []
        assert self.server.port.sessions() == []


LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()


def command(cdb, tag, *, lun=0x8000 << 48):
    return Command(tag, lun, 0, cdb.ljust(16, b"\0")).build()


@pytest.fixture
def scene(clock, adapter):
    scene = Scene(clock, adapter)
    yield scene
    scene.check_quiet()


@pytest.fixture
def make_scene():
    """Each has a clock of its own, so that nothing outlives it."""

    def make(memory_bytes=1 << 20, **how):
        return Scene(Clock(), FakeAdapter(memory_bytes), **how)

    return make
