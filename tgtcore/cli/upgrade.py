"""A daemon starts its own successor, inside its service: the same command line, the program that is installed now."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tgtcore.handover import wait_exit

_log = logging.getLogger("tgtd")

TAKE_OVER = "--take-over"


def start_successor(environment: Mapping[str, str]) -> "subprocess.Popen[Any]":
    """Start the program that we are, as a daemon that takes over.

    :raises OSError: it can't be started.
    """
    arguments = [word for word in sys.orig_argv if word != TAKE_OVER]
    process = subprocess.Popen([*arguments, TAKE_OVER], env=environment)
    _log.info("started process %d as our successor", process.pid)
    return process


async def watch_successor(process: "subprocess.Popen[Any]") -> None:
    """Wait until it has failed; if it does not, our process is the first to end."""
    pidfd = os.pidfd_open(process.pid)
    try:
        await wait_exit(pidfd)
    finally:
        os.close(pidfd)
    _log.error(
        "the successor, process %d, has ended with status %d; this daemon serves on", process.pid, process.wait()
    )
