"""The file of ``tgtd serve --chap-file``: one account in each line.

``USER SECRET`` is an account that initiators may log in with; ``USER SECRET mutual`` is the one with which the target proves
itself.  Empty lines and lines that begin with ``#`` do not count.
"""

import os
from pathlib import Path
from typing import NamedTuple

from tgtcore.config.secrets import BadSecret, read_private
from tgtcore.errors import ConfigError

_FILE_BYTES_MAX = 64 * 1024


class Entry(NamedTuple):
    """One account."""

    user: str
    secret: str
    mutual: bool


def read_chap_file(path: Path) -> list[Entry]:
    """The accounts in a file; at least one that is not mutual.

    :raises ConfigError: every problem; no message contains a secret.
    """
    where = f"--chap-file {path}"
    try:
        text = read_private(path, where, _FILE_BYTES_MAX).decode()
    except BadSecret as error:
        raise ConfigError(str(error)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: expected text in UTF-8") from None
    entries: list[Entry] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 2 or (len(words) == 3 and words[2] == "mutual"):
            entries.append(Entry(words[0], words[1], len(words) == 3))
        else:
            problems.append(f"{where}:{number}: expected USER SECRET, or USER SECRET mutual")
    if not problems and sum(entry.mutual for entry in entries) > 1:
        problems.append(f"{where}: more than one mutual account; the target proves itself as one user")
    if not problems and not any(not entry.mutual for entry in entries):
        problems.append(f"{where}: there is no account that an initiator could log in with")
    if problems:
        raise ConfigError(*problems)
    return entries


def keep_secret(path: Path, secret: str) -> Path:
    """Write a secret to a new file that only we can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret)
    return path
