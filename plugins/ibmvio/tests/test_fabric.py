"""Information units and data between slots, files and the client's memory."""

import os
from types import SimpleNamespace

import pytest
from tgtcore_ibmvio.crq.elements import FIELDS
from tgtcore_ibmvio.fabric import VioFabric
from tgtcore_ibmvio.platform import Hcall
from tgtcore_srp.fabric import Segment
from tgtcore_srp.slots import Slot

from tgtcore import OpenFile, Region

DATA = bytes(range(251)) * 40
TAG = bytes.fromhex("6003bd04000000c0")


class Queue:
    def __init__(self):
        self.sent = []
        self.resets = 0

    def send(self, element, holder=None):
        self.sent.append((element, holder))

    def reset(self):
        self.resets += 1


class Channel:
    """What the fabric sees of one."""

    def __init__(self):
        self.slots = SimpleNamespace(free=[Slot(bytearray(256), lambda slot: None)])
        self.received = []
        self.log = []

    def overrun(self):
        self.log.append("overrun")

    def receive(self, slot, length):
        self.received.append((slot.cookie, bytes(slot.view[:length])))

    def discard(self, slot):
        self.log.append("discard")

    def disconnect(self, why):
        self.log.append(why)


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def fabric(adapter, queue):
    fabric = VioFabric(adapter, queue, memoryview(bytearray(adapter.copy_bytes_max)))
    fabric.channel = Channel()
    return fabric


@pytest.fixture
def region(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"before" + DATA)
    return Region(OpenFile(os.open(path, os.O_RDONLY)), 6, len(DATA))


def never(moved):
    raise AssertionError("everything is moved at once")


# ---- information units --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 64, 256])
def test_a_request_comes_into_its_slot(fabric, adapter, length):
    adapter.memory[0x1000 : 0x1000 + 256] = DATA[:256]
    fabric.receive(0x1000, length)
    assert fabric.channel.received == [(0x1000, DATA[:length])]


@pytest.mark.parametrize("length", [0, 257, 0xFFFF])
def test_a_request_of_an_impossible_length(fabric, length):
    fabric.receive(0x1000, length)
    (why,) = fabric.channel.log
    assert str(length) in why
    assert fabric.channel.received == []


def test_a_request_that_can_not_be_read(fabric):
    fabric.receive(1 << 40, 256)
    discard, why = fabric.channel.log
    assert (discard, "SOURCE_PARM" in why) == ("discard", True)


def test_a_client_that_sends_too_much_has_no_slot(fabric, adapter):
    fabric.channel.slots.free.clear()
    fabric.receive(0x1000, 256)
    assert (fabric.channel.received, fabric.channel.log, adapter.calls) == ([], ["overrun"], [])


def test_an_answer_takes_the_place_of_its_request(fabric, adapter, queue):
    slot = Slot(bytearray(256), lambda slot: None)
    slot.cookie = 0x2000
    answer = b"\xc1" + bytes(7) + TAG + bytes(20)
    fabric.send(answer, slot)
    assert adapter.memory[0x2000 : 0x2000 + len(answer)] == answer
    ((element, holder),) = queue.sent
    header, format_, status, timeout_s, length, tag = FIELDS.unpack(element)
    assert (header, format_, status, timeout_s, length) == (0x80, 1, 0, 0, 36)
    assert (tag.to_bytes(8, "big"), holder) == (TAG, slot)


def test_an_answer_that_can_not_be_written(fabric, adapter, queue):
    adapter.answers["write"] = [Hcall.PERMISSION]
    slot = Slot(bytearray(256), lambda slot: None)
    slot.cookie = 0x2000
    fabric.send(bytes(36), slot)
    (why,) = fabric.channel.log
    assert "PERMISSION" in why
    assert queue.sent == []


def test_to_disconnect_is_to_have_a_new_queue(fabric, queue):
    fabric.disconnect()
    assert queue.resets == 1


# ---- data ---------------------------------------------------------------------------------------------------------------

SEGMENTS = [
    [Segment(0x8000, 0, len(DATA))],
    [Segment(0x8000, 7, 1), Segment(0x9000, 0, 4097), Segment(0x20000, 1, len(DATA) - 4098)],
    [Segment(0x8000, 0, 3000), Segment(0x9000, 0, 0), Segment(0xA000, 0, len(DATA))],
]


def client_memory(adapter, segments, length):
    return b"".join(bytes(adapter.memory[one.address : one.address + one.length]) for one in segments)[:length]


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("length", [1, 999, 1000, 1001, 3000, len(DATA)])
def test_data_out(fabric, adapter, segments, length):
    at = 0
    for one in segments:
        adapter.memory[one.address : one.address + one.length] = DATA[at : at + one.length].ljust(one.length, b"\0")
        at += one.length
    into = bytearray(length)
    assert fabric.read(segments, memoryview(into), never) is True
    assert into == DATA[:length]


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001, 3000, len(DATA)])
def test_data_in(fabric, adapter, segments, length):
    assert fabric.write(segments, DATA[:length], never) is True
    assert client_memory(adapter, segments, length) == DATA[:length]
    assert client_memory(adapter, segments, length + 10)[length:] in (bytes(10), b"", bytes(0))


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("segments", SEGMENTS)
def test_a_region_goes_into_the_memory_of_the_client(fabric, adapter, region, segments, mapped):
    adapter.maps_memory = mapped
    assert fabric.write(segments, region, never) is True
    assert client_memory(adapter, segments, len(DATA)) == DATA
    assert ("write" in adapter.calls) == (not mapped), "where memory is mapped, reading the file is the only copy"


def test_memory_in_more_pieces_than_one_system_call_takes(fabric, adapter, region, monkeypatch):
    memory = memoryview(adapter.memory)
    pieces = [memory[at : at + 3] for at in range(0x8000, 0x8000 + len(DATA) - 2, 3)]
    pieces.append(memory[0x8000 + 3 * len(pieces) : 0x8000 + len(DATA)])
    assert len(pieces) > 2 * os.sysconf("SC_IOV_MAX")
    monkeypatch.setattr(adapter, "views", lambda address, length, *, writable: pieces)
    assert fabric.write(SEGMENTS[0], region, never) is True
    assert client_memory(adapter, SEGMENTS[0], len(DATA)) == DATA


@pytest.mark.parametrize("mapped", [False, True])
def test_a_file_that_has_become_shorter(fabric, adapter, region, tmp_path, mapped):
    adapter.maps_memory = mapped
    os.truncate(tmp_path / "data", 3000)
    assert fabric.write(SEGMENTS[0], region, never) is False


@pytest.mark.parametrize("address", [1 << 20, (1 << 64) - 1, (1 << 20) - 1])
def test_memory_that_is_not_there(fabric, adapter, region, address):
    segments = [Segment(address, 0, len(DATA))]
    adapter.maps_memory = True
    assert fabric.read(segments, memoryview(bytearray(100)), never) is False
    assert fabric.write(segments, DATA, never) is False
    assert fabric.write(segments, region, never) is False
