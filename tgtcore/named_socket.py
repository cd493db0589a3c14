"""A UNIX socket with a name in the file system, for one user and root alone, and for a group where one is named."""

import os
import socket
import stat
from pathlib import Path

from tgtcore.errors import ConfigError

_PATH_BYTES_MAX = 107
"""unix(7): sun_path without the byte that ends it."""


def bind_private(path: Path, what: str, kind: int = socket.SOCK_STREAM, uid: int = -1, gid: int = -1) -> socket.socket:
    """A bound socket of mode 0600, which does not block; it takes the place of one that nobody listens on any more.

    :param what: what the socket is, for errors.
    :param kind: ``SOCK_STREAM`` or ``SOCK_SEQPACKET``.
    :param uid: to whom it belongs; -1: to the user of this process.
    :param gid: a group whose members may connect too, which makes the mode 0660; -1: none.
    :raises ConfigError: there is something else, or somebody listens there.
    :raises OSError: it can't be made.
    """
    what = f"{what} {path}"
    length = len(os.fsencode(path))
    if length > _PATH_BYTES_MAX:
        raise ConfigError(
            f"{what}: the path has {length} bytes, expected at most {_PATH_BYTES_MAX}; choose a shorter one"
        )
    _remove_dead(path, what, kind)
    made = socket.socket(socket.AF_UNIX, kind)
    try:
        os.fchmod(made.fileno(), 0o600)  # before it has a name: nobody gets in between
        made.bind(str(path))
        os.chmod(path, 0o600)
        if uid >= 0 or gid >= 0:
            os.chown(path, uid, gid)
        if gid >= 0:
            os.chmod(path, 0o660)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _remove_dead(path: Path, what: str, kind: int) -> None:
    """Remove the socket that a killed process has left.

    :raises ConfigError: it is no socket, or somebody answers there.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{what}: there is a file of that name which is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # so many wait there already
        except OSError as error:  # one of another kind
            raise ConfigError(f"{what}: another program is using it ({error.strerror})") from None
    raise ConfigError(f"{what}: another program is using it")
