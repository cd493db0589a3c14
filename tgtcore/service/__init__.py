"""What a service manager and the daemon say to each other: sd_notify(3), the watchdog, and sockets that were opened for us."""

from tgtcore.service.activation import Given, socket_address, take_given
from tgtcore.service.notify import Notifier
from tgtcore.service.watchdog import Watchdog

__all__ = ["Given", "Notifier", "Watchdog", "socket_address", "take_given"]
