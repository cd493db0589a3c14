"""The log of a driver process: readable, bounded, and nobody else's."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tgtcore.isolation.child_log import SILENCE_S, ChildLog
from tgtcore.isolation.log_allowance import LogAllowance
from tgtcore.isolation.orders import LineFormatter, parse_line
from tgtcore.limits import DRIVER_LOG_BURST_BYTES_MAX, DRIVER_LOG_BYTES_PER_SECOND_MAX

LOGGER = "tgtcore.driver.tested"


class Loop(asyncio.SelectorEventLoop):
    """One whose time passes only when it is told so."""

    now = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.timers.append(timer)
        return timer

    def passes(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer.when() <= self.now]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            if not timer.cancelled():
                timer._run()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def log(loop: Loop, caplog: pytest.LogCaptureFixture) -> ChildLog:
    caplog.set_level(logging.DEBUG)
    return ChildLog(logging.getLogger(LOGGER), 42, loop, LogAllowance(loop.time))


def exhaust(log: ChildLog) -> None:
    """Use up its allowance; the last line is left out."""
    while log._silence is None:
        log.heard(line("word"))


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


def test_a_flood_is_counted_and_told_when_it_is_over(
    log: ChildLog, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    flood = DRIVER_LOG_BURST_BYTES_MAX // (len("tested[42]: there: word") + 100) + 1
    log.heard(line("word") * (flood + 7) + line("a\n" * 100))
    before = len(caplog.records)
    assert flood - 2 <= before <= flood
    loop.passes(SILENCE_S)
    assert caplog.messages[before:] == [f"tested[42]: it logs too much; {flood + 8 - before} lines were left out"]
    log.heard(line("again"))
    assert caplog.messages[-1] == "tested[42]: there: again"


def test_the_lines_of_one_text_are_counted_too(log: ChildLog, loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        log.heard(line("a\n" * 1000))
    passed_on = len(caplog.records)
    assert 1000 < passed_on < 3000
    loop.passes(SILENCE_S)
    before_it_began = passed_on // 1000 * 1000
    left_out = before_it_began + 1000 - passed_on + 9 - before_it_began // 1000
    assert f"tested[42]: it logs too much; {left_out} lines were left out" in caplog.text


def test_what_follows_in_a_flood_is_counted_by_its_ends_of_lines(
    log: ChildLog, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    exhaust(log)
    caplog.clear()
    log.heard(b"x\n" * 1000 + b"and ")
    log.heard(b"then ")
    log.heard(b"y" * 100_000)
    loop.passes(SILENCE_S)
    assert caplog.messages == ["tested[42]: it logs too much; 1001 lines were left out"]
    loop.passes(SILENCE_S)
    log.heard(b"more\n")
    assert caplog.messages[-1].startswith("tested[42]: and then yyy")
    assert len(caplog.messages[-1]) < 17 * 1024


def test_who_never_stops_is_heard_as_much_as_he_is_allowed(
    log: ChildLog, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    exhaust(log)
    caplog.clear()
    for _ in range(160):
        log.heard(line("word") * 2000)
        loop.passes(0.125)
    assert sum(len(one) + 100 for one in caplog.messages) > DRIVER_LOG_BYTES_PER_SECOND_MAX * 10
    assert sum(map(len, caplog.messages)) < DRIVER_LOG_BYTES_PER_SECOND_MAX * 21
    assert sum("it logs too much" in one for one in caplog.messages) == 20


def test_at_its_end_it_is_told_how_much_was_left_out(
    log: ChildLog, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    exhaust(log)
    caplog.clear()
    log.heard(b"some\nwords")
    log.close()
    assert caplog.messages == ["tested[42]: it logs too much; 3 lines were left out"]
    loop.passes(10)
    assert len(caplog.messages) == 1


def test_the_one_that_takes_its_place_has_no_more(log: ChildLog, loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    exhaust(log)
    log.close()
    caplog.clear()
    successor = ChildLog(logging.getLogger(LOGGER), 43, loop, log._allowance)
    successor.heard(line("word"))
    assert not caplog.records
    successor.close()
    assert caplog.messages == ["tested[43]: it logs too much; 1 lines were left out"]
