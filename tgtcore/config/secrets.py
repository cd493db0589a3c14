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
        return _checked(_from_file(options.secret_file), f"secret_file {options.secret_file}")
    assert options.secret_env is not None
    value = environ.get(options.secret_env)
    if value is None:
        raise BadSecret(f"the environment variable {options.secret_env} is not set")
    return _checked(os.fsencode(value), f"environment variable {options.secret_env}")


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise BadSecret(f"secret_file {path}: expected a regular file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BadSecret(
                    f"secret_file {path}: others may read it (mode {stat.S_IMODE(mode):04o}); expected 0600, try: chmod 600 {path}"
                )
            return file.read(SECRET_BYTES_MAX + 3).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise BadSecret(f"secret_file {path}: {(error.strerror or str(error)).lower()}") from None


def _checked(secret: bytes, where: str) -> bytes:
    if not secret:
        raise BadSecret(f"{where}: the secret is empty")
    if len(secret) > SECRET_BYTES_MAX:
        raise BadSecret(f"{where}: the secret is longer than {SECRET_BYTES_MAX} bytes")
    return secret
