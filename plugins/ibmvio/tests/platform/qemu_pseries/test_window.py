"""Translation of I/O addresses."""

from array import array

import pytest
from tgtcore_ibmvio.platform.qemu_pseries.window import PAGES, WINDOW_BYTES, Access, Window

MEMORY_BYTES = 0x10000
BOTH = Access.READ | Access.WRITE


@pytest.fixture
def memory():
    return memoryview(bytearray(MEMORY_BYTES))


@pytest.fixture
def window(memory):
    return Window(memory, memoryview(array("Q", bytes(8 * PAGES))))


def test_neighbouring_pages_are_one_piece_and_others_are_not(window, memory):
    for page, real in enumerate([0x3000, 0x4000, 0x1000]):
        window.put(page << 12, real | BOTH)
    memory[0x3010], memory[0x1003] = 1, 2
    first, second = window.views(0x10, 0x1FF4 + 0x0C + 4 - 0x10, Access.READ) or (b"", b"")
    assert (len(first), len(second)) == (0x1FF0, 4)
    assert (first[0], second[3]) == (1, 2)


def test_nothing_needs_no_entry(window):
    assert window.views(0x5000, 0, Access.READ) == []


@pytest.mark.parametrize(
    ("given", "access"), [(Access.READ, Access.WRITE), (Access.WRITE, Access.READ), (0, Access.READ)]
)
def test_an_entry_is_only_for_what_it_permits(window, given, access):
    window.put(0, 0x1000 | given)
    assert window.views(0, 1, access) is None


def test_all_of_it_must_be_mapped(window):
    window.put(0, 0x1000 | BOTH)
    assert window.views(0xFFF, 1, Access.READ)
    assert window.views(0xFFF, 2, Access.READ) is None


def test_an_entry_beyond_the_memory_leads_nowhere(window):
    window.put(0, MEMORY_BYTES | BOTH)
    window.put(0x1000, (1 << 63) | BOTH)
    assert window.views(0, 1, Access.READ) is None
    assert window.views(0x1000, 1, Access.READ) is None


def test_the_window_has_an_end(window):
    window.put(WINDOW_BYTES - 0x1000, 0x1000 | BOTH)
    window.put(WINDOW_BYTES, 0x1000 | BOTH)
    assert window.views(WINDOW_BYTES - 1, 1, Access.READ)
    assert window.views(WINDOW_BYTES - 1, 2, Access.READ) is None
    assert window.views(WINDOW_BYTES, 1, Access.READ) is None
    assert window.views((1 << 64) - 1, 1, Access.READ) is None


def test_one_entry_for_several_pages(window):
    window.stuff(0x1000, 0x2000 | BOTH, 3)
    assert window.views(0x3FFF, 1, Access.READ)
    assert window.views(0x4000, 1, Access.READ) is None
    window.stuff(0x1000, 0, 2)
    assert window.views(0x2000, 1, Access.READ) is None


@pytest.mark.parametrize("count", [WINDOW_BYTES // 4096 + 1, 1 << 60])
def test_more_entries_than_pages_are_none(window, count):
    window.stuff(0, 0x1000 | BOTH, count)
    assert window.views(0, 1, Access.READ) is None


def test_entries_from_a_table_in_memory(window, memory):
    memory[0x800:0x810] = (0x3000 | BOTH).to_bytes(8, "big") + (0x6000 | Access.READ).to_bytes(8, "big")
    window.put_listed(0x7000, 0x800, 2)
    assert [len(view) for view in window.views(0x7FFF, 2, Access.READ)] == [1, 1]
    assert window.views(0x8000, 1, Access.WRITE) is None


@pytest.mark.parametrize(("table", "count"), [(MEMORY_BYTES - 8, 2), (1 << 40, 1), (0, 513)])
def test_a_table_that_is_not_in_memory_or_too_long_is_none(window, memory, table, count):
    memory[:] = (0x1000 | BOTH).to_bytes(8, "big") * (MEMORY_BYTES // 8)
    window.put_listed(0, table, count)
    assert window.views(0, 1, Access.READ) is None
