"""Plans are played in time, and what they have added is gone at the end, however that comes."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from management.conftest import Managed
from support.plans import plan, step

from tgtcore.daemon.audience import Audience, heard_by
from tgtcore.errors import ConfigError, TgtError
from tgtcore.management.plans.added import Added
from tgtcore.management.plans.news import PlanNews
from tgtcore.management.plans.playing import _Playing
from tgtcore.management.plans.rehearsal import Step
from tgtcore.management.protocol import Code, code_of

pytestmark = pytest.mark.asyncio

PLAN = plan(
    "a",
    (0, 'add = { type = "hold", name = "h" }'),
    (0.05, 'do = { filter = "h", action = "add-up", of = 3 }'),
    (0.1, 'add = { type = "layer" }'),
    (0.1, 'remove = "h"'),
)
FAILS = step(0.1, 'do = { filter = "layer", action = "x" }')
WAITS, WAITS_LONG = step(0.1), step(100)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Keeps steps that a test adds to the plan from beginning, until it is set."""
    made, wait = asyncio.Event(), _Playing._wait

    async def held(playing: _Playing, number: int, step: Step) -> None:
        if number == 4:
            await made.wait()
        await wait(playing, number, step)

    monkeypatch.setattr(_Playing, "_wait", held)
    return made


def filters(manage: Managed) -> list[str]:
    return [part.config.name for part in manage.daemon.inventory.units["a"].filters]


async def played(
    manage: Managed, more: str, gone: Callable[[], bool] = lambda: False, text: str = PLAN
) -> "asyncio.Future[list[dict[str, Any]]]":
    """Play the plan with more steps, until those of it are done."""
    there = asyncio.Event()

    def tell(news: Any) -> None:
        if news.done == 4:
            there.set()

    with heard_by(Audience(tell, gone)):
        playing = asyncio.ensure_future(manage("filter play", text=text + more))
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


@pytest.mark.parametrize("arguments", [{"text": "keep = true\n" + PLAN}, {"text": PLAN, "keep": True}])
async def test_what_it_has_added_can_stay(manage: Managed, arguments: dict[str, Any]) -> None:
    assert len(await manage("filter play", **arguments)) == 4
    assert filters(manage) == ["layer"]


async def test_what_was_there_before_stays(manage: Managed) -> None:
    await manage("filter add", unit="a", type="power")
    await manage("filter play", text=PLAN)
    assert filters(manage) == ["power"]


async def test_nothing_happens_if_anything_is_wrong(manage: Managed) -> None:
    with pytest.raises(ConfigError, match=r"p.toml:16: step\[4\].do.action"):
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
    playing = await played(manage, WAITS_LONG, lambda: gone)
    gone = True
    with pytest.raises(TgtError, match="was interrupted before step 5; removed again: layer of a") as caught:
        await asyncio.wait_for(playing, 5)
    assert code_of(caught.value) is Code.INTERRUPTED
    assert filters(manage) == []


async def test_it_is_cancelled(manage: Managed) -> None:
    playing = await played(manage, WAITS_LONG)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert filters(manage) == []


OTHERS = [
    ("filter add", {"type": "layer", "keys": ["tag=other"]}),
    ("filter add", {"type": "layer"}),
    ("filter add", {"type": "hold", "name": "layer"}),
]


async def test_what_others_have_removed_meanwhile_is_no_failure(manage: Managed, gate: asyncio.Event) -> None:
    playing = await played(manage, WAITS)
    await manage("filter remove", unit="a", name="layer")
    gate.set()
    assert [row["what"] for row in await playing][-1] == "removed by somebody else before: layer"


@pytest.mark.parametrize(("verb", "arguments"), OTHERS)
async def test_what_others_have_put_in_its_place_stays(
    manage: Managed, gate: asyncio.Event, caplog: pytest.LogCaptureFixture, verb: str, arguments: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO)
    playing = await played(manage, WAITS)
    await manage("filter remove", unit="a", name="layer")
    await manage(verb, unit="a", **arguments)
    gate.set()
    ended = "left there, since somebody else has changed or replaced it: layer"
    assert [row["what"] for row in await playing][-1] == ended
    assert f"plan plan has ended; {ended} of a" in caplog.text
    assert filters(manage) == ["layer"]


async def test_what_others_have_changed_stays(manage: Managed, gate: asyncio.Event) -> None:
    playing = await played(manage, WAITS)
    await manage("filter change", unit="a", name="layer", keys=["tag=other"])
    gate.set()
    assert (await playing)[-1]["what"].startswith("left there")
    assert filters(manage) == ["layer"]


@pytest.mark.parametrize(
    "keys", ['remove = "layer"', 'change = { name = "layer", tag = "x" }', 'do = { filter = "layer", action = "cut" }']
)
async def test_a_step_does_nothing_to_what_others_have_put_in_its_place(
    manage: Managed, gate: asyncio.Event, keys: str
) -> None:
    text = PLAN.replace('"layer"', '"power", name = "layer"')
    playing = await played(manage, step(0.1, keys), text=text)
    await manage("filter remove", unit="a", name="layer")
    await manage("filter add", unit="a", type="power", name="layer")
    gate.set()
    with pytest.raises(
        TgtError, match=r"step 5 .* is not the filter that this plan has added.*; left there, .*: layer of a"
    ):
        await playing
    assert filters(manage) == ["layer"]


async def test_what_it_has_changed_itself_and_what_was_made_anew_is_its_own(
    manage: Managed, gate: asyncio.Event
) -> None:
    playing = await played(manage, step(0.1, 'change = { name = "layer", tag = "x" }') + WAITS)
    part = manage.daemon.inventory.units["a"].filters[0]
    await manage("filter add", unit="a", type="power")  # beneath it, and it can't move
    assert manage.daemon.inventory.units["a"].filters[0].filter is not part.filter
    gate.set()
    assert (await playing)[-1]["what"] == "removed again: layer"
    assert filters(manage) == ["power"]


@pytest.mark.parametrize("keys", ["", 'do = { filter = "layer", action = "cut" }', 'remove = "layer"'])
async def test_it_ends_with_the_daemon(manage: Managed, caplog: pytest.LogCaptureFixture, keys: str) -> None:
    caplog.set_level(logging.INFO)
    text = PLAN.replace('"layer"', '"power", name = "layer"')
    playing = await played(manage, step(0.1, keys) + WAITS_LONG, text=text)
    await manage.daemon.stop()
    with pytest.raises(TgtError, match=r"plan plan has ended with the daemon, after . of 6 steps") as caught:
        await asyncio.wait_for(playing, 5)
    assert code_of(caught.value) is Code.INTERRUPTED
    told = [record for record in caplog.records if record.name.startswith("tgtcore.management")]
    assert [record.levelname for record in told[-1:]] == ["INFO"]
    assert [record.getMessage() for record in told if "ended" in record.getMessage()] == [str(caught.value)]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_it_ends_with_the_daemon_when_it_cleans_up(
    manage: Managed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    cleaned = Added.remove_from

    def stop_first(added: Added, document: dict[str, Any]) -> Any:
        manage.daemon.stopping = True
        if document:
            raise ConfigError("the daemon is stopping; no changes any more")
        return cleaned(added, document)

    monkeypatch.setattr(Added, "remove_from", stop_first)
    with pytest.raises(TgtError, match="plan plan has ended with the daemon, after 4 of 4 steps"):
        await manage("filter play", text=PLAN)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    manage.daemon.stopping = False


async def test_a_client_hears_of_it_between_steps(manage: Managed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.management.plans.playing._SIGN_S", 0.0)
    monkeypatch.setattr("tgtcore.management.plans.playing._LOOK_S", 0.01)
    told: list[Any] = []
    with heard_by(Audience(told.append)):
        await manage("filter play", text=step(1, 'note = "done"'))
    assert told[0].next_in_s > 0
    assert (told[0].what, told[-1].what, told[-1].next_in_s) == ("", "done", None)
