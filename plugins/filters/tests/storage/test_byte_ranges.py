import pytest
from tgtcore_filters.storage.byte_ranges import ByteRanges


def test_ranges_have_a_beginning_and_a_length() -> None:
    ranges = ByteRanges(["1M+64K", "0+512", "4G+"])
    mib, gib = 1 << 20, 1 << 30
    assert [ranges.touch(at, 1) for at in (0, 511, 512, mib - 1, mib, mib + 65535, mib + 65536)] == [
        True, True, False, False, True, True, False,
    ]  # fmt: skip
    assert ranges.touch(1 << 50, 1)
    assert ranges.touch(512, mib)
    assert list(ranges.within(256, 8 * gib)) == [(256, 512), (mib, mib + 65536), (4 * gib, 256 + 8 * gib)]


def test_none_is_everything() -> None:
    assert ByteRanges([]).touch(1 << 60, 1)
    assert list(ByteRanges([]).within(5, 10)) == [(5, 15)]


def test_a_byte_in_several_ranges_counts_once() -> None:
    ranges = ByteRanges(["0+100", "10+20", "50+100"])
    assert list(ranges.within(0, 1000)) == [(0, 100), (100, 150)]


@pytest.mark.parametrize("word", ["1M", "-5+3", "x+1", "1+0", "+5", ""])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError):
        ByteRanges([word])
