"""The log of a driver process: readable, bounded, and nobody else's."""

import logging

import pytest

from tgtcore.isolation.child_log import LINES_PER_SECOND_MAX, ChildLog
from tgtcore.isolation.orders import LineFormatter, parse_line

LOGGER = "tgtcore.driver.tested"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> ChildLog:
    caplog.set_level(logging.DEBUG)
    return ChildLog(logging.getLogger(LOGGER), 42, Clock())


def line(text: str, level: int = logging.ERROR, name: str = "there") -> bytes:
    record = logging.LogRecord(name, level, "", 0, text, (), None)
    return LineFormatter("%(message)s").format(record).encode() + b"\n"


def test_lines_come_with_level_and_name(log: ChildLog, caplog: pytest.LogCaptureFixture) -> None:
    whole = line("first") + line("second", logging.DEBUG)
    log.heard(whole[:20])
    log.heard(whole[20:])
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.ERROR, "tested[42]: there: first"),
        (logging.DEBUG, "tested[42]: there: second"),
    ]


def test_each_line_of_a_text_is_marked_and_nothing_moves_the_cursor(
    log: ChildLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.heard(line("one\n2026-01-01 ERROR tgtcore: forged\x1b[2J", name="a\nb"))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert all(message.startswith("tested[42]: a\\nb: ") and message.isprintable() for message in messages)


@pytest.mark.parametrize(
    "heard",
    [
        b"Traceback",
        b"[" * 10_000,
        b"[50]",
        b'[1e999, "a", "b"]',
        b'[7, "a", "b"]',
        b'[40, 1, "b"]',
        b'["40", "a", "b"]',
        b"\xff\xfe",
        b"1" * 10_000,
        b"{}",
    ],
)
def test_whatever_else_it_says_is_a_warning(heard: bytes) -> None:
    assert parse_line(heard) == (logging.WARNING, "", heard.decode("utf-8", "replace"))


def test_a_line_without_an_end_is_passed_on_at_the_end(log: ChildLog, caplog: pytest.LogCaptureFixture) -> None:
    log.heard(b"last words")
    assert not caplog.records
    log.close()
    assert (caplog.messages, log.last_words) == (["tested[42]: last words"], "last words")


def test_a_line_that_never_ends_is_cut(log: ChildLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(64):
        log.heard(b"x" * 4096)
    assert 8 <= len(caplog.messages) <= 64
    assert max(map(len, caplog.messages)) < 17 * 1024


def test_a_flood_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = ChildLog(logging.getLogger(LOGGER), 42, clock)
    log.heard(line("word") * (LINES_PER_SECOND_MAX + 7) + line("a\n" * 100))
    assert len(caplog.records) == LINES_PER_SECOND_MAX
    clock.now = 1.5
    log.heard(line("again"))
    assert "tested[42]: it logs too much; 8 lines were left out" in caplog.text
    assert caplog.messages[-1] == "tested[42]: there: again"


def test_what_follows_in_a_flood_is_counted_by_its_ends_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = ChildLog(logging.getLogger(LOGGER), 42, clock)
    log.heard(line("word") * LINES_PER_SECOND_MAX)
    log.heard(b"x\n" * 1000 + b"and ")
    log.heard(b"then ")
    log.heard(b"y" * 100_000)
    clock.now = 1.5
    log.heard(b"more\n")
    assert "tested[42]: it logs too much; 1000 lines were left out" in caplog.text
    assert caplog.messages[-1].startswith("tested[42]: and then yyy")
    assert len(caplog.messages[-1]) < 17 * 1024
