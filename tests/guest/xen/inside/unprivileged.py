"""The daemon as a service unit with ``User=`` runs it: somebody who has only the rights of his groups."""

import os
import resource
import sys
from pathlib import Path

from guest.xen.inside.tgtd import leave_status, status_file

from tgtcore.config import default_socket
from tgtcore.isolation.privileges import become, user_ids

_DESCRIPTORS = 1024


def main() -> None:
    """``tgtd`` with the arguments after the first one, which is the name of the user."""
    name = sys.argv.pop(1)
    socket = default_socket()
    socket.parent.mkdir(exist_ok=True)
    ended = status_file()
    ended.write_text("")
    for path in (ended, socket.parent, *Path("/run/tgt").rglob("*"), Path("/run/tgt")):
        os.chown(path, *user_ids(name))
    os.environ["TGTCORE_SOCKET"] = str(socket)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    become(name)
    leave_status(ended)
