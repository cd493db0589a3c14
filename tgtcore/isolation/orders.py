"""What a driver process is told on its command line, and how it speaks to the log of the daemon."""

import json
import logging
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Orders:
    """What a driver process needs to know before it has its ring.  There are no secrets in it: everybody can read command lines.

    :param plugin: the plugin that offers the transport.
    :param transport: the transport's registered name.
    :param link: number of the descriptor of its socket.
    :param user: who it becomes; empty: it stays who it is.
    :param log_level: the least important messages that it logs.
    """

    plugin: str
    transport: str
    link: int
    user: str
    log_level: str

    def to_argument(self) -> str:
        """As one word."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> "Orders":
        """The reverse."""
        return cls(**json.loads(argument))


class LineFormatter(logging.Formatter):
    """One JSON array for each message: level, logger, text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps([record.levelno, record.name, super().format(record)])


_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def parse_line(line: bytes) -> tuple[int, str, str]:
    """Level, logger and text of what a driver process has logged; whatever else it says is a warning, as it stands."""
    try:
        level, name, text = json.loads(line)
        if level not in _LEVELS or not isinstance(name, str) or not isinstance(text, str):
            raise ValueError("no line of a log")
    except (ValueError, TypeError, RecursionError):
        return logging.WARNING, "", line.decode("utf-8", "replace").rstrip()
    return int(level), name, text


def printable(text: str) -> str:
    """Words of a driver as they may stand in a log: in one line, and without what moves a terminal's cursor."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
