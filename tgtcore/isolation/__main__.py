"""The driver process: ``python -m tgtcore.isolation ORDERS``, started by the daemon."""

import asyncio
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time

from tgtcore.errors import TgtError
from tgtcore.isolation.driver_process import DriverProcess
from tgtcore.isolation.orders import LineFormatter, Orders
from tgtcore.isolation.privileges import become, import_all
from tgtcore.plugins import Plugins
from tgtcore.ring import attach

_log = logging.getLogger("tgtcore.isolation")

_GRACE_S = 0.5
"""How long a driver may take to end by itself when the daemon has gone."""
_GONE_STATUS = 70


def main(argument: str) -> int:
    """Run a driver process; returns its exit status."""
    orders = Orders.from_argument(argument)
    _log_to_stderr(orders.log_level)
    # the daemon decides when this process ends, also when a terminal sends its signals to both
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    link = socket.socket(fileno=orders.link)
    threading.Thread(target=_end_with_the_daemon, args=(link.dup(),), daemon=True, name="daemon-watch").start()
    try:
        cls = Plugins.load([orders.plugin]).registry.transports.get(orders.transport)
        assert cls is not None, f"{orders.transport} was checked"
        if orders.user:
            import_all(cls.__module__.partition(".")[0])
            become(orders.user)
        asyncio.run(_serve(orders, cls, link))
    except (TgtError, OSError) as error:
        _log.error("%s", error)
        return 1
    return 0


async def _serve(orders: Orders, cls: type, link: socket.socket) -> None:
    driver = DriverProcess(orders.transport, cls, attach(link, orders.transport), asyncio.get_running_loop())
    gc.collect()
    gc.freeze()
    await driver.ended


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def _end_with_the_daemon(link: socket.socket) -> None:
    """Watch the socket from beside the loop: even a transport that never returns to it ends with the daemon."""
    poll = select.poll()
    poll.register(link, select.POLLRDHUP)
    poll.poll()
    time.sleep(_GRACE_S)
    os._exit(_GONE_STATUS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
