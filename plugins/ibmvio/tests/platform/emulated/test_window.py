"""DMA windows: what the server reaches is what the table says at that moment, and never anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_ibmvio.platform.emulated.window import Access, AccessError, OutsideError, Window

PAGE = 4096
START = 0x4000_0000
PAGES = 8
MEMORY_PAGES = 6


def window(*entries: int) -> Window:
    table = memoryview(bytearray(PAGES * 8)).cast("Q")
    for page, entry in enumerate(entries):
        table[page] = entry
    return Window(START, table, MEMORY_PAGES * PAGE)


def both(*pages: int) -> Window:
    return window(*(page * PAGE | Access.BOTH for page in pages))


def test_a_piece_of_a_page() -> None:
    assert both(3).places(START + 5, 10, Access.READ) == [(3 * PAGE + 5, 3 * PAGE + 15)]


def test_neighbours_are_one_piece() -> None:
    assert both(2, 3, 4).places(START + 1, 3 * PAGE - 1, Access.BOTH) == [(2 * PAGE + 1, 5 * PAGE)]
    assert both(2, 3, 5).places(START + 1, 3 * PAGE - 2, Access.BOTH) == [
        (2 * PAGE + 1, 4 * PAGE),
        (5 * PAGE, 6 * PAGE - 1),
    ]


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (START - 1, 1),
        (START - 1, 2),
        (START + PAGES * PAGE, 1),
        (START + PAGES * PAGE - 1, 2),
        (START, PAGES * PAGE + 1),
        (0, 1),
        ((1 << 64) - 1, 1),
        (START, 0),
    ],
)
def test_what_is_outside(address: int, length: int) -> None:
    with pytest.raises(OutsideError):
        both(*range(MEMORY_PAGES)).places(address, length, Access.READ)


@pytest.mark.parametrize("entry", [0, Access.WRITE, PAGE | 4, MEMORY_PAGES * PAGE | Access.BOTH, (1 << 64) - 1])
def test_what_may_not_be_read(entry: int) -> None:
    for table, page in ((window(entry), 0), (window(3, entry), 1), (window(PAGE | 3, 3, entry), 2)):
        with pytest.raises(AccessError):
            table.places(START + page * PAGE, 1, Access.READ)
        with pytest.raises(AccessError):
            table.places(START, (page + 1) * PAGE, Access.READ)


def test_a_run_that_leaves_the_memory() -> None:
    with pytest.raises(AccessError):
        both(4, 5, 6).places(START, 3 * PAGE, Access.READ)


ENTRIES = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.builds(lambda page, bits: page * PAGE | bits, st.integers(0, MEMORY_PAGES), st.integers(0, 7)),
    st.integers(0, MEMORY_PAGES - 1).map(lambda page: page * PAGE | Access.BOTH),
)


@given(
    st.lists(ENTRIES, min_size=PAGES, max_size=PAGES),
    st.integers(-PAGE, PAGES * PAGE),
    st.integers(1, PAGES * PAGE),
    st.sampled_from([Access.READ, Access.WRITE, Access.BOTH]),
)
def test_any_table_is_read_page_by_page(entries: list[int], offset: int, length: int, access: Access) -> None:
    def byte(at: int) -> int:
        entry = entries[at // PAGE]
        if entry & access != access or entry // PAGE >= MEMORY_PAGES:
            raise AccessError
        return entry // PAGE * PAGE + at % PAGE

    try:
        places = window(*entries).places(START + offset, length, access)
    except OutsideError:
        assert offset < 0 or offset + length > PAGES * PAGE
    except AccessError:
        with pytest.raises(AccessError):
            list(map(byte, (*range(offset, offset + length, 64), offset + length - 1)))
    else:
        assert sum(end - begin for begin, end in places) == length
        at = offset
        for begin, end in places:
            assert (begin, end - 1) == (byte(at), byte(at + end - begin - 1))
            assert end <= MEMORY_PAGES * PAGE
            at += end - begin


def test_pages_are_mapped_and_unmapped() -> None:
    table = window()
    table.map(START + PAGE, 2 * PAGE, 3 * PAGE, Access.READ)
    assert table.places(START + PAGE, 3 * PAGE, Access.READ) == [(2 * PAGE, 5 * PAGE)]
    table.unmap(START + 2 * PAGE, PAGE)
    assert table.places(START + PAGE, PAGE, Access.READ) == [(2 * PAGE, 3 * PAGE)]
    assert table.places(START + 3 * PAGE, PAGE, Access.READ) == [(4 * PAGE, 5 * PAGE)]
    with pytest.raises(AccessError):
        table.places(START + 2 * PAGE, 1, Access.READ)


@pytest.mark.parametrize(
    ("address", "offset", "length"),
    [
        (START + 1, 0, PAGE),
        (START, 1, PAGE),
        (START, -PAGE, PAGE),
        (START, 0, PAGE + 1),
        (START, 0, 0),
        (START - PAGE, 0, PAGE),
        (START + 7 * PAGE, 0, 2 * PAGE),
        (START, 5 * PAGE, 2 * PAGE),
    ],
)
def test_what_are_no_pages_is_not_mapped(address: int, offset: int, length: int) -> None:
    table = window()
    with pytest.raises(ValueError, match="are no pages of the"):
        table.map(address, offset, length, Access.BOTH)
    with pytest.raises(AccessError):
        table.places(START, 1, Access.READ)
