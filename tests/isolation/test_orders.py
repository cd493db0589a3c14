"""What a driver process is told on its command line, and the lines that it logs."""

import json
import logging
import sys

import pytest

from tgtcore.isolation.orders import LineFormatter, Orders, parse_line, printable


@pytest.mark.parametrize(
    "orders",
    [
        Orders("iscsi", "iscsi", 7, "nobody", "INFO"),
        Orders("a plugin", 'quo"te', -1, "", "DEBUG"),
        Orders("\u00e9\u4e2d\U0001f600", "new\nline\0", 2**31, "a b", ""),
    ],
)
def test_orders_are_one_word_that_says_them_all(orders: Orders) -> None:
    argument = orders.to_argument()
    assert Orders.from_argument(argument) == orders
    assert argument.isascii()
    assert "\0" not in argument


@pytest.mark.parametrize("argument", ["", "[]", "{}", '{"plugin": "a"}', "nonsense"])
def test_what_are_no_orders_is_an_error(argument: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Orders.from_argument(argument)


def record(text: str, *args: object, level: int = logging.ERROR, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord("a.logger", level, "", 0, text, args, sys.exc_info() if error else None)


@pytest.mark.parametrize("text", ["plain", "two\nlines", "\x1b[2J\0", "\u00e9\U0001f600", '"quoted" \\', "", "\ud800"])
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_a_message_is_one_line_and_comes_back_as_it_was(text: str, level: int) -> None:
    line = LineFormatter("%(message)s").format(record("%s", text, level=level))
    assert "\n" not in line
    assert parse_line(line.encode()) == (level, "a.logger", text)


def test_a_traceback_is_in_the_line_too() -> None:
    try:
        raise ValueError("a defect")
    except ValueError:
        line = LineFormatter("%(message)s").format(record("it failed", error=True))
    level, _, text = parse_line(line.encode())
    assert (level, text.splitlines()[0], text.splitlines()[-1]) == (40, "it failed", "ValueError: a defect")
    assert "\n" not in line


@pytest.mark.parametrize(
    "said",
    [
        ["40", "name", "text"],
        [41, "name", "text"],
        [0, "name", "text"],
        [-1, "name", "text"],
        [None, "name", "text"],
        [40.5, "name", "text"],
        [40, None, "text"],
        [40, "name", 5],
        [40, "name"],
        [40, "name", "text", "more"],
        {"level": 40},
        [[40], "name", "text"],
        "text",
    ],
)
def test_a_line_that_is_none_of_ours_is_a_warning_as_it_stands(said: object) -> None:
    line = json.dumps(said)
    assert parse_line(line.encode() + b" \n") == (logging.WARNING, "", line)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 text", "plain \u00e9 text"),
        ("", ""),
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b\u202e", "\\x9b\\u202e"),
        ("\ud800", "\\ud800"),
        ("back\\slash\n", "back\\\\slash\\n"),
    ],
)
def test_words_for_a_log_are_in_one_line_and_move_no_cursor(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()
