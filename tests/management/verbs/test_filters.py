"""Verbs on filters."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from daemon.filters.conftest import CONFIG
from daemon.reload.conftest import Host, finished, real
from management.conftest import Managed, managed
from support.fake_filters import Noted, filtering

from tgtcore.config import parse
from tgtcore.errors import ConfigError, TgtError
from tgtcore.management.protocol import Code, code_of

pytestmark = pytest.mark.asyncio

READ = "28 00 00000000 00 0001"


@pytest_asyncio.fixture
async def manage(tmp_path: Path) -> AsyncIterator[Managed]:
    async with managed(tmp_path, CONFIG, real(), filtering()) as manage:
        yield manage


async def names(manage: Managed, unit: str = "a") -> list[str]:
    return [row["name"] for row in await manage("filter list", unit=unit)]


def document(manage: Managed) -> Any:
    return manage.daemon.config.document["logical_units"]["a"].get("filters")


async def test_filters_are_added_in_their_places(manage: Managed) -> None:
    steps = await manage("filter add", unit="a", type="hold")
    assert steps == [{"action": "change", "kind": "logical unit", "name": "a", "detail": "filters"}]
    await manage("filter add", unit="a", type="layer", keys=["tag=x"], name="l")
    await manage("filter add", unit="a", type="power", before="l")
    assert await names(manage) == ["hold", "power", "l"]
    assert document(manage) == [{"type": "hold"}, {"type": "power"}, {"type": "layer", "name": "l", "tag": "x"}]


async def test_what_is_saved_serves_the_same(manage: Managed) -> None:
    await manage("filter add", unit="a", type="layer", keys=["tag=x"], name="l")
    text = await manage("save")
    assert await manage.daemon.apply(parse(text.encode(), Path("/"))) == []


async def test_filters_are_listed_with_those_of_the_key_store(manage: Managed) -> None:
    await manage("filter add", unit="a", type="hold")
    held = Host(manage).start(READ)
    rows = await manage("filter list")
    assert [(row["unit"], row["name"], row["sees"], row["key"], row["held"]) for row in rows] == [
        ("a", "hold", ["commands"], "filters", 1),
        ("b", "both", ["commands", "storage"], "store", 0),
        ("b", "power", ["storage"], "store", 0),
    ]
    await manage("filter remove", unit="a", name="hold")
    await finished(held)


async def test_a_filter_is_shown_with_what_it_offers(manage: Managed) -> None:
    await manage("filter add", unit="a", type="hold", keys=["tag=x"])
    shown = await manage("filter show", unit="a", name="hold")
    assert shown["options"] == {"fails": False, "tag": "x"}
    assert shown["figures"] == {"count": 0}
    assert shown["actions"]["release"] == {"help": "Let what is held go on.", "arguments": {}}
    assert shown["actions"]["add-up"]["arguments"]["of"]["default"] == 1
    (row,) = (await manage("lu show", name="a"))["filters"]
    assert (row["name"], row["figures"]) == ("hold", {"count": 0})
    stat = (await manage("stat"))["logical_units"]
    assert stat["a"]["filters"] == {"hold": {"count": 0}}
    await manage("filter remove", unit="a", name="hold")
    assert "filters" not in (await manage("stat"))["logical_units"]["a"]


async def test_a_filter_is_changed(manage: Managed) -> None:
    await manage("filter add", unit="a", type="hold", keys=["tag=x"])
    await manage("filter change", unit="a", name="hold", keys=["tag=y"])
    assert document(manage) == [{"type": "hold", "tag": "y"}]
    await manage("filter change", unit="a", name="hold", unset=["tag", "type"])
    assert document(manage) == [{"type": "hold"}]
    assert [one.closed for one in Noted.made[2:]] == [1, 1, 0]
    assert await manage("filter change", unit="a", name="hold") == []


async def test_filters_are_removed(manage: Managed) -> None:
    await manage("filter add", unit="a", type="layer")
    await manage("filter add", unit="a", type="hold")
    await manage("filter remove", unit="a", name="layer")
    assert await names(manage) == ["hold"]
    await manage("filter remove", unit="a", name="hold")
    assert document(manage) is None
    assert await manage("filter remove", unit="a", name="hold", if_exists=True) == []


async def test_a_filter_does_what_it_offers(manage: Managed) -> None:
    await manage("filter add", unit="a", type="hold")
    assert await manage("filter do", unit="a", name="hold", action="add-up", keys=["of=3"]) == {
        "unit": "a",
        "filter": "hold",
        "action": "add-up",
        "result": 3,
        "paused_ms": 0.0,
    }
    assert (await manage("filter do", unit="b", name="power", action="cut"))["paused_ms"] > 0


@pytest.mark.parametrize(
    ("verb", "arguments", "code", "said"),
    [
        ("filter add", {"unit": "x", "type": "hold"}, Code.NOT_FOUND, 'there is no logical unit called "x"'),
        (
            "filter add",
            {"unit": "a", "type": "hodl"},
            Code.CONFIG,
            'there is no filter called "hodl"; did you mean "hold"?',
        ),
        (
            "filter add",
            {"unit": "a", "type": "memory"},
            Code.CONFIG,
            'memory is a store: it belongs in the key "store"',
        ),
        (
            "filter add",
            {"unit": "a", "type": "layer"},
            Code.CONFIG,
            'another filter of this logical unit is called "layer"',
        ),
        ("filter add", {"unit": "a", "type": "hold", "keys": ["name=x"]}, Code.CONFIG, "name: can't be set like this"),
        ("filter add", {"unit": "a", "type": "hold", "before": "lair"}, Code.NOT_FOUND, 'did you mean "layer"?'),
        (
            "filter add",
            {"unit": "a", "type": "hold", "keys": ["fails=true"]},
            Code.FAILED,
            "filter hold: input/output error",
        ),
        ("filter list", {"unit": "x"}, Code.NOT_FOUND, 'there is no logical unit called "x"'),
        (
            "filter show",
            {"unit": "a", "name": "x"},
            Code.NOT_FOUND,
            'has no filter called "x"; see: tgtadm filter list a',
        ),
        ("filter remove", {"unit": "a", "name": "x"}, Code.NOT_FOUND, 'has no filter called "x"'),
        (
            "filter remove",
            {"unit": "b", "name": "both"},
            Code.CONFIG,
            'both is part of the key "store" of logical unit b',
        ),
        ("filter change", {"unit": "b", "name": "power"}, Code.CONFIG, 'power is part of the key "store"'),
        ("filter change", {"unit": "a", "name": "layer", "keys": ["tga=1"]}, Code.CONFIG, 'did you mean "tag"?'),
        ("filter do", {"unit": "a", "name": "layer", "action": "cut"}, Code.NOT_FOUND, 'no action "cut"; it has none'),
        (
            "filter do",
            {"unit": "b", "name": "power", "action": "cut", "keys": ["x=1"]},
            Code.CONFIG,
            "there are none here",
        ),
    ],
)
async def test_mistakes_are_explained(
    manage: Managed, verb: str, arguments: dict[str, Any], code: Code, said: str
) -> None:
    await manage("filter add", unit="a", type="layer")
    with pytest.raises(TgtError) as caught:
        await manage(verb, **arguments)
    assert said in str(caught.value)
    assert code_of(caught.value) is code
    assert await names(manage) == ["layer"]


async def test_a_plugin_that_is_unloaded_takes_its_filters_with_it(manage: Managed) -> None:
    await manage("filter add", unit="a", type="hold")
    (row,) = [row for row in await manage("plugin list") if row["name"] == "filtering"]
    assert sorted(row["used_by"]) == ["logical unit a", "logical unit b"]
    steps = await manage("plugin unload", name="filtering")
    assert [(step["action"], step["kind"], step["name"]) for step in steps] == [
        ("change", "logical unit", "a"),
        ("remove", "LUN", "t.one"),
        ("remove", "logical unit", "b"),
        ("remove", "plugin", "filtering"),
    ]
    assert manage.daemon.inventory.units["a"].filters == ()


async def test_a_disk_without_filters_is_shown_without(manage: Managed) -> None:
    assert (await manage("lu show", name="a"))["filters"] == []
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        await manage("filter add", unit="a", type="hold", keys=["tag"])


async def test_a_plugin_of_filters_is_drained_with_what_has_them(manage: Managed) -> None:
    await manage("filter add", unit="a", type="hold")
    await manage("plugin drain", name="filtering")
    assert [row["state"] for row in await manage("lu list")] == ["drained", "drained"]
    await manage("plugin reopen", name="filtering")
    await manage("filter remove", unit="a", name="hold")
    await manage("plugin drain", name="filtering")
    assert [row["state"] for row in await manage("lu list")] == ["online", "drained"]
    await manage("plugin reopen", name="filtering")
