"""A log that nobody fills who repeats himself."""

import logging


def log_first(log: logging.Logger, level: int, count: int, most: int, message: str, *args: object) -> None:
    """Log what one peer does only while that is news.

    :param count: how often it has done this, now included.
    :param most: how many of them are logged; the last one says that further ones are not.
    :param message: with places for ``args``, as for :meth:`logging.Logger.log`.
    """
    if count <= most:
        log.log(level, message + ("; more of this is not logged" if count == most else ""), *args, stacklevel=2)
