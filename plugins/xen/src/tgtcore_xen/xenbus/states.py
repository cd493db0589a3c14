"""The states of the two ends of a virtual device, and of each logical unit on it (``xen/include/public/io/xenbus.h``)."""

import re
from enum import IntEnum

_WRITTEN = re.compile(r"[0-8]", re.ASCII)


class State(IntEnum):
    """What an end has written into its node ``state``."""

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6
    RECONFIGURING = 7
    RECONFIGURED = 8

    @property
    def word(self) -> str:
        """For people."""
        return self.name.lower().replace("_", " ")


def parse_state(value: str) -> State:
    """A state as it stands in a node; UNKNOWN for whatever is none."""
    return State(int(value)) if _WRITTEN.fullmatch(value) else State.UNKNOWN
