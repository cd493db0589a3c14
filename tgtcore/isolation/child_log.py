"""What a driver process logs, passed on to the daemon's log: under its own name, and no more than anybody would read."""

import asyncio
import logging

from tgtcore.isolation.log_allowance import LogAllowance
from tgtcore.isolation.orders import parse_line, printable

_LINE_BYTES_MAX = 16 * 1024
"""A longer line of its log is cut."""
_LINE_COSTS_BYTES = 100
"""What each line takes of the allowance besides its text: time, level and name of the logger."""
SILENCE_S = 1.0
"""When the allowance is used up, so long nothing is passed on; then it is told how much that was."""
_WORDS_MAX = 300


class ChildLog:
    """Takes the standard error of one process.

    :param log: where to pass it on to.
    :param allowance: how much that may be.
    """

    def __init__(self, log: logging.Logger, pid: int, loop: asyncio.AbstractEventLoop, allowance: LogAllowance) -> None:
        self.last_words = ""
        """The last line, shortened."""
        self._log = log
        self._prefix = f"{log.name.rpartition('.')[2]}[{pid}]"
        self._loop = loop
        self._allowance = allowance
        self._rest = b""
        self._silence: asyncio.TimerHandle | None = None
        """While nothing is passed on: its end."""
        self._left_out = 0

    def heard(self, data: bytes) -> None:
        """Take some more of it."""
        if self._silence is not None:
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
        self._left_out += data.count(b"\n")
        _, newline, rest = data.rpartition(b"\n")
        self._rest = (rest if newline else self._rest + rest)[:_LINE_BYTES_MAX]

    def close(self) -> None:
        """It has ended: pass on what was not whole, and how much was not passed on."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        if self._silence is not None:
            self._silence.cancel()
            self._speak_again()

    def _line(self, line: bytes) -> None:
        if self._silence is not None:
            self._left_out += 1
            return
        level, name, text = parse_line(line)
        prefix = f"{self._prefix}: {printable(name)}: " if name else f"{self._prefix}: "
        # each line with its prefix: nobody can take it for the daemon's own
        for one in text.splitlines() or [text]:
            self._pass_on(level, prefix, printable(one))

    def _pass_on(self, level: int, prefix: str, text: str) -> None:
        if self._silence is None and not self._allowance.take(_LINE_COSTS_BYTES + len(prefix) + len(text)):
            self._silence = self._loop.call_later(SILENCE_S, self._speak_again)
        if self._silence is not None:
            self._left_out += 1
            return
        self._log.log(level, "%s%s", prefix, text)
        self.last_words = text[:_WORDS_MAX] or self.last_words

    def _speak_again(self) -> None:
        left_out, self._left_out, self._silence = self._left_out, 0, None
        self._log.warning("%s: it logs too much; %d lines were left out", self._prefix, left_out)
