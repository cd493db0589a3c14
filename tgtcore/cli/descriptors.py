"""File descriptors: every image and every connection takes one."""

import resource

from tgtcore.config import Config
from tgtcore.errors import ConfigError

_FOR_OTHERS = 64
"""What a daemon opens besides images: its sockets, its loop, what plugins need at the least."""


def raise_limit() -> int:
    """Let this process open as many files as it is ever allowed to; returns how many (``RLIMIT_NOFILE``)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def check_enough(config: Config, limit: int) -> None:
    """Refuse a configuration that names more files than can be open at one time.

    :param limit: what :func:`raise_limit` returned.
    :raises ConfigError: how many are needed, and what to do.
    """
    files = sum(len(unit.store.paths) for unit in config.logical_units.values() if unit.store)
    if files + _FOR_OTHERS > limit:
        raise ConfigError(
            f"the logical units need {files} open files, and connections need more; this process may have {limit}: raise "
            "LimitNOFILE= of its service, or ulimit -Hn"
        )
