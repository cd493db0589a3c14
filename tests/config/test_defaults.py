"""Where things are kept by default."""

from pathlib import Path

import pytest

from tgtcore.config import default_socket, default_state_directory

CASES = [
    ({}, 0, "/run/tgtcore/tgtd.sock", "/var/lib/tgtcore"),
    ({"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/s"}, 7, "/run/user/7/tgtcore/tgtd.sock", "/s/tgtcore"),
    ({"XDG_STATE_HOME": "/s"}, 7, "/s/tgtcore/tgtd.sock", "/s/tgtcore"),
    ({"TGTCORE_SOCKET": "/x"}, 0, "/x", "/var/lib/tgtcore"),
]


@pytest.mark.parametrize(("environ", "uid", "socket", "state"), CASES)
def test_defaults_depend_on_the_user(environ: dict[str, str], uid: int, socket: str, state: str) -> None:
    assert default_socket(environ, uid) == Path(socket)
    assert default_state_directory(environ, uid) == Path(state)
