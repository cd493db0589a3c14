from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_filters.occasions import OccasionOptions, Occasions


def struck(candidates: int, **options: Any) -> list[int]:
    """Which candidates, counted from 1, are struck."""
    occasions = Occasions(OccasionOptions(**options))
    return [number for number in range(1, candidates + 1) if occasions.strike()]


def test_by_default_everything_is_struck() -> None:
    assert struck(3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"first": 4}, [4, 5, 6, 7, 8]),
        ({"every": 3}, [1, 4, 7]),
        ({"first": 2, "every": 3}, [2, 5, 8]),
        ({"count": 2}, [1, 2]),
        ({"first": 2, "every": 3, "count": 2}, [2, 5]),
        ({"probability": 0}, []),
    ],
    ids=str,
)
def test_the_chosen_are_struck(options: dict[str, Any], expected: list[int]) -> None:
    assert struck(8, **options) == expected


def test_chance_is_repeatable() -> None:
    some = struck(1000, probability=0.3, seed=5)
    assert 200 < len(some) < 400
    assert struck(1000, probability=0.3, seed=5) == some
    assert struck(1000, probability=0.3, seed=6) != some


def test_strikes_have_numbers_and_dice_of_their_own() -> None:
    occasions = Occasions(OccasionOptions(every=2, seed=9))
    numbers = [occasions.strike() for _ in range(6)]
    assert numbers == [1, 0, 2, 0, 3, 0]
    assert (occasions.candidates, occasions.strikes) == (6, 3)
    again = Occasions(OccasionOptions(seed=9))
    assert occasions.dice(2).random() == again.dice(2).random()
    assert occasions.dice(2).random() != occasions.dice(3).random()


def test_without_its_file_nothing_is_even_counted(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    occasions = Occasions(OccasionOptions(first=2, while_file_exists=switch))
    assert [occasions.strike() for _ in range(5)] == [0] * 5
    switch.touch()
    assert [occasions.strike() for _ in range(3)] == [0, 1, 2]
    switch.unlink()
    assert occasions.strike() == 0
    assert occasions.candidates == 3


def test_threads_share_the_count() -> None:
    occasions = Occasions(OccasionOptions(every=7, count=100))
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: occasions.strike(), range(2000)))
    assert sorted(number for number in numbers if number) == list(range(1, 101))
    assert occasions.candidates == 2000


@pytest.mark.parametrize("wrong", [{"first": 0}, {"every": 0}, {"count": 0}, {"probability": 1.5}], ids=str)
def test_what_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OccasionOptions(**wrong)
