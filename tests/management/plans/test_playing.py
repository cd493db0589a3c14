"""Plans are played in time, and what they have added is gone at the end, however that comes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from management.conftest import Managed

from tgtcore.daemon.audience import Audience, heard_by
from tgtcore.errors import ConfigError, TgtError
from tgtcore.management.plans.news import PlanNews
from tgtcore.management.protocol import Code, code_of

pytestmark = pytest.mark.asyncio

PLAN = """
unit = "a"
[[step]]
at = 0
add = { type = "hold", name = "h" }
[[step]]
at = 0.05
do = { filter = "h", action = "add-up", of = 3 }
[[step]]
at = 0.1
add = { type = "layer" }
[[step]]
at = 0.1
remove = "h"
"""
FAILS = '[[step]]\nat = 0.1\ndo = { filter = "layer", action = "x" }\n'


def filters(manage: Managed) -> list[str]:
    return [part.config.name for part in manage.daemon.inventory.units["a"].filters]


async def played(
    manage: Managed, more: str, gone: Callable[[], bool] = lambda: False
) -> "asyncio.Future[list[dict[str, Any]]]":
    """Play the plan with more steps, until those of it are done."""
    there = asyncio.Event()

    def tell(news: Any) -> None:
        if news.done == 4:
            there.set()

    with heard_by(Audience(tell, gone)):
        playing = asyncio.ensure_future(manage("filter play", text=PLAN + more))
    await asyncio.wait_for(there.wait(), 10)
    assert filters(manage) == ["layer"]
    return playing


async def test_steps_are_done_in_time_and_told(manage: Managed) -> None:
    told: list[Any] = []
    with heard_by(Audience(told.append)):
        rows = await manage("filter play", text=PLAN, name="p.toml")
    assert [(row["unit"], row["what"], row["outcome"]) for row in rows] == [
        ("a", "add h (hold)", None),
        ("a", "h does add-up", 3),
        ("a", "add layer", None),
        ("a", "remove h", None),
        ("a", "removed again: layer", None),
    ]
    assert rows[1]["at_s"] >= 0.05
    assert rows[2]["at_s"] >= 0.1
    assert [(one.plan, one.done, one.steps, one.what) for one in told] == [
        ("p.toml", number, 4, row["what"]) for number, row in enumerate(rows[:4], 1)
    ]
    assert all(isinstance(one, PlanNews) for one in told)
    assert filters(manage) == []


@pytest.mark.parametrize("arguments", [{"text": "keep = true" + PLAN}, {"text": PLAN, "keep": True}])
async def test_what_it_has_added_can_stay(manage: Managed, arguments: dict[str, Any]) -> None:
    assert len(await manage("filter play", **arguments)) == 4
    assert filters(manage) == ["layer"]


async def test_what_was_there_before_stays(manage: Managed) -> None:
    await manage("filter add", unit="a", type="power")
    await manage("filter play", text=PLAN)
    assert filters(manage) == ["power"]


async def test_nothing_happens_if_anything_is_wrong(manage: Managed) -> None:
    with pytest.raises(ConfigError, match=r"p.toml:17: step\[4\].do.action"):
        await manage("filter play", text=PLAN + FAILS, name="p.toml")
    assert filters(manage) == []
    rows = await manage("filter play", text=PLAN, dry_run=True)
    assert [row["at_s"] for row in rows] == [0, 0.05, 0.1, 0.1]
    assert filters(manage) == []


async def test_a_step_that_fails_ends_it(manage: Managed) -> None:
    failing = PLAN.replace('add = { type = "layer" }', 'add = { type = "layer", fails = true }')
    with pytest.raises(TgtError) as caught:
        await manage("filter play", text=failing, name="p.toml")
    assert str(caught.value) == (
        "plan p.toml, step 3 at 0.1 s (add layer): logical unit a: filter layer: input/output error; removed again: h of a"
    )
    assert filters(manage) == []


async def test_an_action_that_fails_ends_it(manage: Managed) -> None:
    failing = PLAN.replace('"add-up", of = 3', '"fail"')
    with pytest.raises(TgtError, match=r"step 2 at 0.05 s \(h does fail\): .*; removed again: h of a"):
        await manage("filter play", text=failing)
    assert filters(manage) == []


async def test_it_ends_when_nobody_waits_any_more(manage: Managed) -> None:
    gone = False
    playing = await played(manage, "[[step]]\nat = 100\n", lambda: gone)
    gone = True
    with pytest.raises(TgtError, match="was interrupted before step 5; removed again: layer of a") as caught:
        await asyncio.wait_for(playing, 5)
    assert code_of(caught.value) is Code.INTERRUPTED
    assert filters(manage) == []


async def test_it_is_cancelled(manage: Managed) -> None:
    playing = await played(manage, "[[step]]\nat = 100\n")
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert filters(manage) == []


async def test_what_others_have_removed_meanwhile_is_no_failure(manage: Managed) -> None:
    playing = await played(manage, "[[step]]\nat = 0.3\n")
    await manage("filter remove", unit="a", name="layer")
    assert [row["what"] for row in await playing][-1] == "wait"


async def test_a_client_hears_of_it_between_steps(manage: Managed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.management.plans.playing._SIGN_S", 0.0)
    monkeypatch.setattr("tgtcore.management.plans.playing._LOOK_S", 0.01)
    told: list[Any] = []
    with heard_by(Audience(told.append)):
        await manage("filter play", text='[[step]]\nat = 1\nnote = "done"\n')
    assert told[0].next_in_s > 0
    assert (told[0].what, told[-1].what, told[-1].next_in_s) == ("", "done", None)
