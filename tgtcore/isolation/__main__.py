"""The driver process: ``python -m tgtcore.isolation ORDERS``, started by the daemon."""

import asyncio
import gc
import logging
import signal
import socket
import sys

from tgtcore.errors import TgtError
from tgtcore.heap import keep_freed
from tgtcore.isolation.driver_process import DriverProcess
from tgtcore.isolation.orders import LineFormatter, Orders
from tgtcore.isolation.privileges import become, end_with_the_daemon, import_all
from tgtcore.plugins import Plugins
from tgtcore.ring import attach

_log = logging.getLogger("tgtcore.isolation")


def main(argument: str) -> int:
    """Run a driver process; returns its exit status."""
    orders = Orders.from_argument(argument)
    _log_to_stderr(orders.log_level)
    # the daemon decides when this process ends, also when a terminal sends its signals to both
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_the_daemon()
    keep_freed()
    link = socket.socket(fileno=orders.link)
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
    driver.teller.listen()
    gc.collect()
    gc.freeze()
    await driver.ended


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
