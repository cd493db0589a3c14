"""The model of a medium: what a read may find, and what a crash may leave."""

from sim.contents import ZERO, Contents

A, B, C = 0x100, 0x200, 0x300


def reads(contents: Contents, value: int, block: int = 0) -> str | None:
    return contents.end_read(contents.begin_read(block, 1), [value])


def test_a_write_that_is_good_is_found_and_nothing_else() -> None:
    contents = Contents(2)
    contents.written(contents.begin_write(0, [A]), durable=False)
    assert reads(contents, A) is None
    assert reads(contents, ZERO) == "block 0 holds 0, expected one of ['100']"
    assert reads(contents, ZERO, block=1) is None


def test_a_write_under_way_may_be_found_or_not() -> None:
    contents = Contents(1)
    write = contents.begin_write(0, [A])
    assert reads(contents, ZERO) is None
    assert reads(contents, A) is None
    contents.not_written(write)
    assert reads(contents, A) is not None


def test_a_read_may_find_what_began_after_it() -> None:
    contents = Contents(1)
    read = contents.begin_read(0, 1)
    contents.written(contents.begin_write(0, [A]), durable=False)
    assert contents.end_read(read, [A]) is None


def test_of_two_writes_beside_each_other_either_may_be_last() -> None:
    contents = Contents(1)
    first, second = contents.begin_write(0, [A]), contents.begin_write(0, [B])
    contents.written(first, durable=False)
    contents.written(second, durable=False)
    assert contents.possible(0) == {A, B}
    contents.written(contents.begin_write(0, [C]), durable=False)
    assert contents.possible(0) == {C}


def test_a_write_that_was_aborted_is_settled_by_a_read() -> None:
    contents = Contents(1)
    contents.perhaps_written(contents.begin_write(0, [A]))
    assert contents.possible(0) == {ZERO, A}
    assert reads(contents, A) is None
    assert contents.possible(0) == {A}


def test_a_crash_leaves_what_was_flushed_or_something_later() -> None:
    contents = Contents(1)
    contents.written(contents.begin_write(0, [A]), durable=False)
    contents.end_flush(contents.begin_flush(), good=True)
    contents.written(contents.begin_write(0, [B]), durable=False)
    contents.crash()
    assert contents.possible(0) == {A, B}


def test_a_flush_that_fails_makes_nothing_durable() -> None:
    contents = Contents(1)
    contents.written(contents.begin_write(0, [A]), durable=False)
    contents.end_flush(contents.begin_flush(), good=False)
    contents.crash()
    assert contents.possible(0) == {ZERO, A}


def test_a_durable_write_outlives_a_crash() -> None:
    contents = Contents(1)
    contents.written(contents.begin_write(0, [A]), durable=True)
    contents.crash()
    assert contents.possible(0) == {A}


def test_what_is_cut_off_comes_back_as_zeroes() -> None:
    contents = Contents(2)
    contents.written(contents.begin_write(0, [A, B]), durable=True)
    contents.cut(1)
    assert (contents.possible(0), contents.possible(1)) == ({A}, {ZERO})
