"""What a waiting client is told: what goes away, how much time is left, and who still uses it."""

from typing import Any

from tgtcore.daemon.departures import Departure
from tgtcore.leases import Holder
from tgtcore.limits import PROGRESS_HOLDERS_MAX, PROGRESS_NAME_CHARACTERS_MAX


def progress_of(departure: Departure) -> dict[str, Any]:
    """How a departure gets on: ``thing``, ``state``, ``left_s`` until what is left is aborted, ``count`` of its holders, and the
    oldest of them as ``holders``, each with ``holder`` and ``age_s``.
    """
    holders = departure.users()
    return {
        "thing": str(departure.thing),
        "state": departure.state,
        "left_s": round(departure.patience.left_s, 1),
        "count": len(holders),
        "holders": [holder_shown(holder) for holder in holders[:PROGRESS_HOLDERS_MAX]],
    }


def holder_shown(holder: Holder) -> dict[str, Any]:
    """One holder, for people and programs."""
    return {"holder": holder.name[:PROGRESS_NAME_CHARACTERS_MAX], "age_s": round(holder.age_s, 3)}
