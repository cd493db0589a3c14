"""Reading secrets from where a configuration says they are."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tgtcore.config.models import AccountOptions

SECRET_BYTES_MAX = 255
"""RFC 7143 12.1.4 allows 16-byte secrets at least; nothing in use is longer than this."""


class BadSecret(ValueError):
    """A secret can't be used; the message never contains it."""


def read_secret(options: AccountOptions, environ: Mapping[str, str] = os.environ) -> bytes:
    """The secret of an account.

    :raises BadSecret: it is not there, empty, too long, or others may read it.
    """
    if options.secret_file is not None:
        where = f"secret_file {options.secret_file}"
        return _checked(
            read_private(options.secret_file, where, SECRET_BYTES_MAX + 3).removesuffix(b"\n").removesuffix(b"\r"),
            where,
        )
    assert options.secret_env is not None
    value = environ.get(options.secret_env)
    if value is None:
        raise BadSecret(f"the environment variable {options.secret_env} is not set")
    return _checked(os.fsencode(value), f"environment variable {options.secret_env}")


def read_private(path: Path, where: str, bytes_max: int) -> bytes:
    """The content of a file, up to a length, if only its owner may read it.

    :param where: names the file in messages.
    :raises BadSecret: it is not there, no regular file, or others may read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise BadSecret(f"{where}: expected a regular file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BadSecret(
                    f"{where}: others may read it (mode {stat.S_IMODE(mode):04o}); expected 0600, try: chmod 600 {path}"
                )
            return file.read(bytes_max)
    except OSError as error:
        raise BadSecret(f"{where}: {(error.strerror or str(error)).lower()}") from None


def _checked(secret: bytes, where: str) -> bytes:
    if not secret:
        raise BadSecret(f"{where}: the secret is empty")
    if len(secret) > SECRET_BYTES_MAX:
        raise BadSecret(f"{where}: the secret is longer than {SECRET_BYTES_MAX} bytes")
    return secret
