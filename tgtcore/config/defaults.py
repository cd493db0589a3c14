"""Where the daemon keeps its socket and its state, unless the configuration says otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path

SOCKET_VARIABLE = "TGTCORE_SOCKET"


def default_state_directory(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """``/var/lib/tgtcore`` for root, ``$XDG_STATE_HOME/tgtcore`` for everybody else."""
    if (os.getuid() if uid is None else uid) == 0:
        return Path("/var/lib/tgtcore")
    home = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home, "tgtcore")


def default_socket(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """``$TGTCORE_SOCKET``, or ``/run/tgtcore/tgtd.sock`` for root, ``$XDG_RUNTIME_DIR/tgtcore/tgtd.sock`` for everybody else."""
    named = environ.get(SOCKET_VARIABLE)
    if named:
        return Path(named)
    if (os.getuid() if uid is None else uid) == 0:
        return Path("/run/tgtcore/tgtd.sock")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "tgtcore", "tgtd.sock")
    return default_state_directory(environ, uid) / "tgtd.sock"
