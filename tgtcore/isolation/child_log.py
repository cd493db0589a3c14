"""What a driver process logs, passed on to the daemon's log: under its own name, and no more than anybody would read."""

import logging
from collections.abc import Callable

from tgtcore.isolation.orders import parse_line, printable

_LINE_BYTES_MAX = 16 * 1024
"""A longer line of its log is cut."""
LINES_PER_SECOND_MAX = 500
"""More than that are counted, not passed on: a flood costs the daemon next to nothing."""
_WORDS_MAX = 300


class ChildLog:
    """Takes the standard error of one process.

    :param log: where to pass it on to.
    :param clock: seconds, monotonic.
    """

    def __init__(self, log: logging.Logger, pid: int, clock: Callable[[], float]) -> None:
        self.last_words = ""
        """The last line, shortened."""
        self._log = log
        self._prefix = f"{log.name.rpartition('.')[2]}[{pid}]"
        self._clock = clock
        self._rest = b""
        self._second = clock()
        self._lines = 0

    def heard(self, data: bytes) -> None:
        """Take some more of it."""
        if self._lines >= LINES_PER_SECOND_MAX and self._clock() - self._second < 1:
            self._count(data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES_MAX:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            if line:
                self._line(line[:_LINE_BYTES_MAX])

    def _count(self, data: bytes) -> None:
        """Nobody will read it: look for the ends of lines only."""
        self._lines += data.count(b"\n")
        _, newline, rest = data.rpartition(b"\n")
        self._rest = rest if newline else (self._rest + rest)[:_LINE_BYTES_MAX]

    def close(self) -> None:
        """It has ended: pass on what was not whole, and how much was not passed on."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        self._begin_second()

    def _line(self, line: bytes) -> None:
        if self._clock() - self._second >= 1:
            self._begin_second()
        level, name, text = (logging.NOTSET, "", "") if self._lines >= LINES_PER_SECOND_MAX else parse_line(line)
        prefix = f"{self._prefix}: {printable(name)}: " if name else f"{self._prefix}: "
        # each line with its prefix: nobody can take it for the daemon's own
        for one in text.splitlines() or [text]:
            self._lines += 1
            if self._lines <= LINES_PER_SECOND_MAX:
                self._log.log(level, "%s%s", prefix, printable(one))
                self.last_words = printable(one)[:_WORDS_MAX] or self.last_words

    def _begin_second(self) -> None:
        if self._lines > LINES_PER_SECOND_MAX:
            left_out = self._lines - LINES_PER_SECOND_MAX
            self._log.warning("%s: it logs too much; %d lines were left out", self._prefix, left_out)
        self._second = self._clock()
        self._lines = 0
