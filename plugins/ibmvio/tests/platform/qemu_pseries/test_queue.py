"""The client's queue, which QEMU writes too."""

from array import array

import pytest
from tgtcore_ibmvio.platform.qemu_pseries.queue import ClientQueue
from tgtcore_ibmvio.platform.qemu_pseries.window import PAGES, Window

SLOTS = 256
EVENT = b"\xff\x02".ljust(16, b"\0")
QEMUS = b"\xc0\x02".ljust(16, b"\0")


def element(number):
    return b"\x80\x01" + number.to_bytes(14, "big")


@pytest.fixture
def memory():
    return memoryview(bytearray(0x2000))


@pytest.fixture
def window(memory):
    window = Window(memory, memoryview(array("Q", bytes(8 * PAGES))))
    window.put(0x5000, 0x1003)
    return window


@pytest.fixture
def queue(window):
    return ClientQueue(window, memoryview(array("Q", (0x5000, SLOTS * 16, 0, 0))))


def slot(memory, number):
    return memory[0x1000 + 16 * number : 0x1010 + 16 * number]


def test_elements_follow_one_another_and_start_again_at_the_end(queue, memory):
    for number in range(SLOTS + 3):
        assert queue.put(element(number))
        assert slot(memory, number % SLOTS) == element(number)
        slot(memory, number % SLOTS)[0] = 0


def test_a_full_queue_takes_nothing(queue, memory):
    assert all(queue.put(element(number)) for number in range(SLOTS))
    assert not queue.put(element(SLOTS))
    assert slot(memory, 0) == element(0)
    slot(memory, 0)[0] = 0
    assert queue.put(element(SLOTS))


def test_a_queue_that_may_not_be_written_takes_nothing(queue, window):
    window.put(0x5000, 0x1001)
    assert not queue.put(element(0))
    queue.put_event(EVENT)
    assert not queue.unread


def test_an_event_needs_no_room(queue, memory):
    for number in range(SLOTS):
        queue.put(element(number))
    queue.put_event(EVENT)
    assert bytes(slot(memory, SLOTS - 1)) == EVENT[:3] + b"\x20" + EVENT[4:]
    assert bytes(slot(memory, 0)) == element(0)


def test_the_newest_element_is_unread_until_it_is_taken(queue, memory):
    assert not queue.unread
    queue.put(element(0))
    queue.put(element(1))
    slot(memory, 0)[0] = 0
    assert queue.unread
    slot(memory, 1)[0] = 0
    assert not queue.unread


def test_qemu_may_write_where_it_believes_to_be_and_nothing_stays(queue, memory):
    for number in range(3):
        queue.put(element(number))
    before = bytes(memory)
    for number in range(3):
        with queue.reserved():
            assert slot(memory, number)[0] == 0
            slot(memory, number)[:] = QEMUS
        assert bytes(memory) == before


def test_where_qemu_wrote_nothing_it_is_still(queue, memory):
    with queue.reserved():
        pass
    with queue.reserved():
        slot(memory, 0)[:] = QEMUS
    assert not any(memory)
