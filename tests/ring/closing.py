"""Waits for what is closed in a thread of its own."""

import threading


def until_closed_aside(timeout_s: float) -> None:
    """Return as soon as none of a stranger's descriptors is being closed any more."""
    for thread in threading.enumerate():
        if thread.name == "closing":
            thread.join(timeout_s)
            assert not thread.is_alive()
