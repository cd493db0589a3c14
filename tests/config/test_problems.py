"""Problems are collected, placed and shown in order."""

from pathlib import Path

import pytest
from pydantic import field_validator

from tgtcore.config.models import LogicalUnitKeys
from tgtcore.config.positions import Positions
from tgtcore.config.problems import Problems
from tgtcore.errors import ConfigError
from tgtcore.options import NoOptions, Options


class Inner(Options):
    level: int = 1


class Outer(Options):
    inner: tuple[Inner, ...] = ()
    password: int = 0


class Strict(Options):
    level: int

    @field_validator("level")
    @classmethod
    def _refuse(cls, level: int) -> int:
        raise ValueError(f"FirstBurstLength is {level}")


TEXT = "[a]\nx = 1\n[b]\ny = 2\n"


def shown(problems: Problems) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        problems.raise_if_any()
    return caught.value.problems


def test_without_problems_nothing_is_raised() -> None:
    problems = Problems()
    problems.raise_if_any()
    assert not problems


def test_problems_are_in_the_order_of_the_file_and_there_once() -> None:
    problems = Problems("c.toml", Positions(TEXT))
    problems.add(("b", "y"), "second")
    problems.add(("a", "x"), "first")
    problems.add(("a", "x"), "first")
    assert shown(problems) == ("c.toml:2: a.x: first", "c.toml:4: b.y: second")


def test_without_a_file_the_place_is_enough() -> None:
    problems = Problems()
    problems.add(("a", "x"), "wrong")
    assert shown(problems) == ("a.x: wrong",)


def test_models_inside_models_offer_their_own_keys() -> None:
    problems = Problems()
    assert problems.check(("t",), Outer, {"inner": [{"level": 1}, {"levle": 2}]}) is None
    assert shown(problems) == ('t.inner[1].levle: unknown key; did you mean "level"? (expected one of: level)',)


def test_long_values_are_cut_and_secrets_not_shown() -> None:
    problems = Problems()
    problems.check(("t",), Outer, {"password": "hush" * 100, "inner": [{"level": "x" * 1000}]})
    text = "\n".join(shown(problems))
    assert "hush" not in text
    assert len(text) < 300


def test_where_no_keys_are_known_that_is_said() -> None:
    problems = Problems()
    problems.check(("plugin", "a"), NoOptions, {"x": 1})
    assert shown(problems) == ("plugin.a.x: unknown key; there are none here",)


def test_types_and_texts_are_described_in_our_words() -> None:
    problems = Problems()
    problems.check(
        ("a",), LogicalUnitKeys, {"device_type": 1, "serial": "ä", "vendor": "longer than 8", "read_only": 7}
    )
    assert shown(problems) == (
        "a.device_type: expected text in quotes, got 1",
        "a.read_only: expected true or false, got 7",
        "a.serial: expected text that matches '^[\\x20-\\x7e]*$', got \"ä\"",
        'a.vendor: expected at most 8 characters, got "longer than 8"',
    )


def test_our_own_words_stay_as_they_are() -> None:
    problems = Problems()
    problems.check(("a",), Strict, {"level": 1})
    assert shown(problems) == ("a.level: FirstBurstLength is 1",)


def test_what_is_no_table_is_said() -> None:
    problems = Problems()
    assert problems.check(("t",), Outer, [1]) is None
    assert shown(problems) == ("t: expected a table, got [1]",)


def test_a_path_with_a_nul_is_no_path() -> None:
    class WithPath(Options):
        path: Path

    problems = Problems()
    assert problems.check(("t",), WithPath, {"path": "a\0b"}) is None
    assert shown(problems) == ("t.path: expected a path, and none can have a NUL character in it",)
