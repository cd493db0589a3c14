"""What a waiting client is told: what goes away, how much time is left, and who still uses it; or how a copy or a plan gets on."""

import dataclasses
from typing import Any

from tgtcore.daemon.copying import Copying
from tgtcore.daemon.departures import Departure
from tgtcore.leases import Holder
from tgtcore.limits import PROGRESS_HOLDERS_MAX, PROGRESS_NAME_CHARACTERS_MAX
from tgtcore.management.plans.news import PlanNews


def progress_of(news: object) -> dict[str, Any]:
    """What there is to tell: of a departure or a copy, as the functions below say; of a plan ``plan``, ``done`` of how many
    ``steps``, ``at_s``, and what the last one has come to, or ``next_in_s``.
    """
    if isinstance(news, Departure):
        return departure_shown(news)
    if isinstance(news, Copying):
        return copying_shown(news)
    assert isinstance(news, PlanNews), news
    return dataclasses.asdict(news)


def copying_shown(copying: Copying) -> dict[str, Any]:
    """How a copy gets on: ``thing``, ``state``, ``done_bytes`` and ``total_bytes``, and ``age_s`` since it began."""
    return {
        "thing": copying.thing[:PROGRESS_NAME_CHARACTERS_MAX],
        "state": "being copied",
        "done_bytes": copying.done_bytes,
        "total_bytes": copying.total_bytes,
        "age_s": round(copying.age_s, 3),
    }


def departure_shown(departure: Departure) -> dict[str, Any]:
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
