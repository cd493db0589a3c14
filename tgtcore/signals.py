"""News: what has happened in the daemon, for whoever wants to know (the only importer of blinker).

A signal is sent after the fact and cannot be refused; an exception in a listener is logged and the others still run.
There is no signal per command.  Connect with ``signals.nexus_opened.connect(function, weak=False)``: blinker's default is a
weak reference, and a lambda or a closure would vanish at once.
"""

import logging
from collections.abc import Callable
from typing import Any
from weakref import ref

from blinker import NamedSignal, Namespace

_log = logging.getLogger(__name__)
_space = Namespace()

plugin_loaded = _space.signal("plugin_loaded", doc="A plugin is in force, anew after a reload.  Sender: its record.")
plugin_unloaded = _space.signal("plugin_unloaded", doc="A plugin is gone, or replaced.  Sender: its record.")
config_reloaded = _space.signal("config_reloaded", doc="A new configuration is in force.  Sender: the daemon.")
target_added = _space.signal("target_added", doc="Sender: the target.")
target_changed = _space.signal(
    "target_changed",
    doc="Alias, options or access list are other ones, or it is drained or open again.  Sender: the target.",
)
target_removed = _space.signal("target_removed", doc="Sender: the target.")
lu_added = _space.signal("lu_added", doc="A logical unit exists.  Sender: the logical unit.")
lu_removed = _space.signal("lu_removed", doc="A logical unit is gone.  Sender: the logical unit.")
lu_resized = _space.signal("lu_resized", doc="Sender: the logical unit.  old_bytes, new_bytes.")
lun_mapped = _space.signal("lun_mapped", doc="Sender: the target.  lun, lu.")
lun_unmapped = _space.signal("lun_unmapped", doc="Sender: the target.  lun, lu.")
portal_opened = _space.signal("portal_opened", doc="Sender: the portal.")
portal_closed = _space.signal("portal_closed", doc="Sender: the portal.")
login_refused = _space.signal("login_refused", doc="Sender: the target or None.  initiator, address, reason.")
nexus_opened = _space.signal("nexus_opened", doc="An I_T nexus exists.  Sender: the nexus.")
nexus_closed = _space.signal("nexus_closed", doc="An I_T nexus is gone.  Sender: the nexus.")
reservations_changed = _space.signal("reservations_changed", doc="Sender: the logical unit.  aptpl: bool.")
drain_started = _space.signal("drain_started", doc="Sender: the thing that goes away.")
drain_finished = _space.signal("drain_finished", doc="Sender: the thing that went away.")
store_opened = _space.signal("store_opened", doc="Sender: the opened store.")
store_closed = _space.signal("store_closed", doc="Sender: the opened store.")
limit_reached = _space.signal("limit_reached", doc="Sender: the thing that has the limit.  limit: str, value: int.")


def every_signal() -> dict[str, NamedSignal]:
    """Name and signal of all of them, for documentation and tests."""
    return dict(_space)


def listeners() -> list[Callable[..., Any]]:
    """Everyone who listens to any signal."""
    return [listener for _, listener in _connected()]


def disconnect_all(chosen: Callable[[Callable[..., Any]], bool]) -> None:
    """Disconnect the listeners that are chosen from every signal."""
    for signal, listener in _connected():
        if chosen(listener):
            signal.disconnect(listener)


def _connected() -> list[tuple[NamedSignal, Callable[..., Any]]]:
    kept = [
        (signal, one() if isinstance(one, ref) else one)
        for signal in _space.values()
        for one in signal.receivers.values()
    ]
    return [(signal, listener) for signal, listener in kept if listener is not None]


def emit(signal: NamedSignal, sender: Any, **news: Any) -> None:
    """Tell every listener of ``signal``; what a listener raises is logged, and the next one is told."""
    if not signal.receivers:
        return
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **news)
        except Exception:
            _log.exception("a listener of %s failed: %r", signal.name, receiver)
