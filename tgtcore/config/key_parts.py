"""A bound on the parts of keys in TOML, checked before ``tomllib`` sees them.

It takes the cube of their number in time, and more than its square in memory.
"""

import re

from tgtcore.errors import ConfigError
from tgtcore.limits import CONFIG_KEY_PARTS_MAX

_APART = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{0,5}'
    r"|'''(?:[^']|'(?!''))*+'{0,5}"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
"""Strings and comments, as far as the text goes where they do not end; what dots in them mean is no matter of keys.

Each takes all that it can and gives nothing back, so the time is that of the length of the text.
"""

_BETWEEN_KEYS = re.compile(r"[\n,=\[\]{}]")
"""What can stand beside a key, and not in it.  What is between two of these has more than one dot only if it is a key."""


def check_key_parts(text: str, name: str = "") -> None:
    """Refuse text with a key or table header of too many parts.

    :param text: as far as it is TOML; what is wrong with it otherwise is for the parser to say.
    :param name: the file's name, for messages.
    :raises ConfigError: there is one, with its line.
    """
    bare = _APART.sub(lambda found: "\n" * found[0].count("\n"), text)
    if bare.count(".") < CONFIG_KEY_PARTS_MAX:
        return
    for number, line in enumerate(bare.split("\n"), 1):
        if line.count(".") < CONFIG_KEY_PARTS_MAX:
            continue
        parts = max(piece.count(".") for piece in _BETWEEN_KEYS.split(line)) + 1
        if parts > CONFIG_KEY_PARTS_MAX:
            where = f"{name}:{number}" if name else f"line {number}"
            raise ConfigError(f"{where}: a key of {parts} parts, expected at most {CONFIG_KEY_PARTS_MAX}")
