"""The end of everything: transports with their sessions, then targets, then logical units with their stores."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from tgtcore.daemon.compare import Kind
from tgtcore.daemon.departures import Departures
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.targets import remove_target, target_users
from tgtcore.daemon.transports import remove_transport, transport_users
from tgtcore.daemon.units import remove_unit, unit_users
from tgtcore.errors import DrainTimeout

_log = logging.getLogger(__name__)

_HOPELESS_S = 1.0
"""For what waits on something that was waited for already."""

_Remove = Callable[[Inventory, str], Coroutine[Any, Any, None]]
_Users = Callable[[Inventory, str], Callable[[], list[str]]]


async def remove_everything(inventory: Inventory, departures: Departures) -> list[str]:
    """Remove what there is, whatever a configuration says.

    Things of one kind go at the same time, so that those that hang cost their time only once.  What goes wrong is logged: nothing
    may keep the rest.

    :returns: what is gone, but not as it should be.
    """
    complaints: list[str] = []

    async def remove(kind: Kind, names: Iterable[str], removal: _Remove, users: _Users, timeout_s: float) -> None:
        removals = [
            departures.see_off(
                (kind, name), f"{kind.value} {name}", removal(inventory, name), users(inventory, name), timeout_s
            )
            for name in list(names)
            if (kind, name) not in departures
        ]
        for error in await asyncio.gather(*removals, return_exceptions=True):
            if error is not None:
                _log.error("%s", error)
                if not isinstance(error, DrainTimeout):
                    complaints.append(str(error))

    patience_s = departures.timeout_s
    await remove(Kind.TRANSPORT, inventory.transports, remove_transport, transport_users, patience_s)
    await remove(
        Kind.TARGET, inventory.targets, remove_target, target_users, _HOPELESS_S if len(departures) else patience_s
    )
    await remove(Kind.LOGICAL_UNIT, inventory.units, remove_unit, unit_users, patience_s)
    return complaints
