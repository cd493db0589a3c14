"""A driver that attaches by itself: ``python -m isolation.visitor SOCKET NAME``."""

import asyncio
import socket
import sys

from isolation.wayward import NAME, Wayward

from tgtcore.isolation.driver_process import DriverProcess
from tgtcore.ring import attach


async def _visit(path: str, name: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(path)
        await DriverProcess(NAME, Wayward, attach(link, name), asyncio.get_running_loop()).ended


if __name__ == "__main__":
    try:
        asyncio.run(_visit(*sys.argv[1:]))
    except Exception as error:
        sys.exit(str(error))
