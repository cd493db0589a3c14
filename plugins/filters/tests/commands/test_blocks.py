import random

import pytest
from tgtcore_filters.commands.blocks import EVERY_BLOCK, LBA_MAX, Blocks


@pytest.mark.parametrize(
    ("words", "asked", "first"),
    [
        (["0-2047"], range(2047, 3000), 2047),
        (["0-2047"], range(2048, 3000), None),
        (["100-200"], range(100), None),
        (["100-200"], range(101), 100),
        (["100-200"], range(150, 160), 150),
        (["100-200", "50"], range(1000), 50),
        ([7], range(8), 7),
        (["0x10-0x20"], range(100), 16),
        (["5000-"], range(4999, LBA_MAX + 1), 5000),
        (["5000-"], range(5000), None),
        (["10-20", "15-30", "31"], range(31, 40), 31),
        ([" 10 - 20 "], range(20, 21), 20),
        (["0-10"], range(5, 5), None),
    ],
)
def test_the_first_block_of_a_range(words: list[str | int], asked: range, first: int | None) -> None:
    assert Blocks(words).first([asked]) == first


def test_the_first_of_several_ranges_is_the_lowest() -> None:
    assert Blocks(["0-100"]).first([range(50, 60), range(20, 30), range(200, 300)]) == 20
    assert Blocks(["0-100"]).first([]) is None


def test_every_block_has_the_last_one() -> None:
    assert EVERY_BLOCK.first([range(LBA_MAX, LBA_MAX + 1)]) == LBA_MAX


def test_it_agrees_with_sets() -> None:
    chance = random.Random(1)
    for _ in range(300):
        pairs = [sorted((chance.randrange(60), chance.randrange(60))) for _ in range(chance.randint(1, 5))]
        blocks = Blocks(f"{low}-{high}" for low, high in pairs)
        meant = {address for low, high in pairs for address in range(low, high + 1)}
        start = chance.randrange(60)
        asked = range(start, start + chance.randrange(10))
        assert blocks.first([asked]) == min(meant & set(asked), default=None)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("10-5", '"10-5" is no range of logical blocks: it ends before it begins'),
        ("ten", '"ten" is no range of logical blocks; expected an address, or two as in "0-2047"'),
        ("-5", "is no range"),
        (-5, "is no range"),
        ("1-2-3", "is no range"),
        (1 << 64, f"goes beyond the last address that there can be, {LBA_MAX}"),
        ("9" * 100, "is no range"),
    ],
)
def test_what_is_no_range_is_refused(word: str | int, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Blocks([word])
    assert message in str(caught.value)
