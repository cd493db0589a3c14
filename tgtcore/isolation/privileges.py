"""What a driver process gives up before it meets anybody, its life without the daemon included."""

import ctypes
import encodings.idna
import logging
import os
import pkgutil
import pwd
import signal
import sys
from contextlib import suppress
from importlib import import_module

from tgtcore.errors import ConfigError

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_NAME_ANOTHER = (
    'name another one with the key "user" of the transport; the user of the daemon itself will do everywhere'
)
_LATE = (encodings.idna,)
"""What the standard library imports only when it is needed, by :func:`socket.getaddrinfo` for one."""

_NOT_NEEDED = {"__main__", "testing"}
"""Names of modules, and of packages with all below them."""


def user_ids(name: str) -> tuple[int, int]:
    """User and group id of a user.

    :raises ConfigError: there is none of that name.
    """
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f'there is no user "{name}" on this machine; {_NAME_ANOTHER}') from None
    return found.pw_uid, found.pw_gid


def import_all(package: str) -> None:
    """Import every module of a package now: later its files may be out of reach.

    One that needs what is not installed could not be imported later either.  Kits for tests are no driver's business: where
    pytest is installed it would take longer to import than all the rest.
    """
    for module in pkgutil.iter_modules(getattr(sys.modules[package], "__path__", ()), f"{package}."):
        if module.name.rpartition(".")[2] not in _NOT_NEEDED:
            with suppress(ImportError):
                import_module(module.name)
                import_all(module.name)


def become(name: str) -> None:
    """Become a user for good, if that is somebody else; no program that is run later can get more rights, whoever it belongs to.

    The groups are those that the administrator gave that user, as with a login or a service unit's ``User=``: a device that one
    of them may open is the driver's to open.  Those of the daemon go.

    :raises ConfigError: there is no such user, or this process can't become him.
    """
    uid, gid = user_ids(name)
    if uid != os.getuid():
        try:
            os.initgroups(name, gid)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        except OSError as error:  # also in a user namespace, where few users exist
            raise ConfigError(f'can\'t become user "{name}" here: {error.strerror}; {_NAME_ANOTHER}') from error
        if not os.access(os.__file__, os.R_OK):
            _log.warning(
                "user %s can't read Python's own library: modules that are not loaded yet will be missing", name
            )
        end_with_the_daemon()  # the kernel forgets that for who becomes another user
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def end_with_the_daemon() -> None:
    """Let the kernel end this process when the daemon ends, however that may happen: also one that hangs, or was stopped."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
