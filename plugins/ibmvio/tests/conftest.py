"""A machine for tests: an adapter whose client's memory is an array, and a clock that goes when the test says so."""

import heapq
import itertools

import pytest
from tgtcore_ibmvio.platform import Adapter, Hcall, Partner

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
