"""Names of snapshots that nobody has named: they are made from the time."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from tgtcore.store import SnapshotInfo

SCHEDULED = "scheduled-"
"""How the names of those begin that were made by a schedule."""

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_SCHEDULED = re.compile(rf"{SCHEDULED}\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?:\.\d+)?", re.ASCII)


def name_by_time(taken: Iterable[SnapshotInfo], now_ns: int, prefix: str = "") -> str:
    """A name that none of the others has.

    :param taken: the others.
    :param now_ns: nanoseconds since 1970 (UTC).
    """
    names = {name for one in taken for name in (one.id, one.name)}
    wanted = prefix + time_text(now_ns)
    number = 1
    name = wanted
    while name in names:
        number += 1
        name = f"{wanted}.{number}"
    return name


def is_scheduled(snapshot: SnapshotInfo) -> bool:
    """Whether a schedule has made it, by its name."""
    return _SCHEDULED.fullmatch(snapshot.name) is not None


def time_text(at_ns: int) -> str:
    """A time as users are told: UTC, in seconds."""
    try:
        return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime(_FORMAT)
    except (OverflowError, OSError, ValueError):  # from an image that says what it likes
        return f"{at_ns} ns after 1970"
