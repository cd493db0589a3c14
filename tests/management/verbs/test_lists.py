"""Long lists are made in turns: what they tell of may come and go meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from management.conftest import Managed

pytestmark = pytest.mark.asyncio

Meanwhile = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def meanwhile(manage: Managed, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Lets another verb run after the first step of the next list."""

    def run(verb: str, arguments: dict[str, Any]) -> None:
        waiting = [(verb, arguments)]

        async def over(_: object) -> None:
            if waiting:
                name, given = waiting.pop()
                await manage(name, **given)

        monkeypatch.setattr("tgtcore.loop.Turn.over", over)

    return run


async def test_a_target_that_goes_is_no_error(manage: Managed, meanwhile: Meanwhile) -> None:
    await manage("target add", target="t.two", transport="fake", keys=["luns={0='b'}"])
    meanwhile("target remove", {"target": "t.two"})
    rows = await manage("lun list")
    assert [row["lun"] for row in rows if row["target"] == "t.one"] == [0, 1]
    assert [row["target"] for row in await manage("lun list")] == ["t.one", "t.one"]


async def test_a_target_that_comes_is_no_error(manage: Managed, meanwhile: Meanwhile) -> None:
    meanwhile("target add", {"target": "t.two", "transport": "fake", "keys": ["luns={0='b'}"]})
    assert [row["luns"] for row in await manage("lu list")] == [["t.one/0"], ["t.one/1"]]
    assert [row["luns"] for row in await manage("lu list")] == [["t.one/0"], ["t.one/1", "t.two/0"]]


async def test_a_logical_unit_that_goes_is_no_error(manage: Managed, meanwhile: Meanwhile) -> None:
    meanwhile("lu remove", {"name": "b", "unmap": True})
    assert [row["name"] for row in await manage("lu list")] == ["a", "b"]
    assert [row["name"] for row in await manage("lu list")] == ["a"]
    await manage("lu add", name="c", device_type="fake", keys=["store.type=memory"])
    meanwhile("lu remove", {"name": "c"})
    assert {"a", "c"} >= set((await manage("stat"))["logical_units"])
