"""Messages of progress, from the daemon to a client that waits."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tgtcore.daemon import Kind, Thing
from tgtcore.daemon.departures import Departures
from tgtcore.leases import Holder
from tgtcore.limits import PROGRESS_HOLDERS_MAX, PROGRESS_NAME_CHARACTERS_MAX
from tgtcore.management.client import Client
from tgtcore.management.progress import progress_of
from tgtcore.management.protocol import Request, parse_request, request_line
from tgtcore.management.server import Server
from tgtcore.testing.waiting import WITHIN_S

pytestmark = pytest.mark.asyncio

MANY = [Holder("x" * 1000, 100.0 - age, float(age)) for age in range(100, 0, -1)]


async def _never(patience: Any) -> None:
    await asyncio.Event().wait()


async def test_a_message_is_bounded() -> None:
    departures = Departures(lambda: 10)
    progress = progress_of(departures.begin(Thing(Kind.TARGET, "t"), _never, lambda: MANY))
    assert (progress["thing"], progress["state"], progress["count"]) == ("target t", "draining", 100)
    assert len(progress["holders"]) == PROGRESS_HOLDERS_MAX
    assert progress["holders"][0] == {"holder": "x" * PROGRESS_NAME_CHARACTERS_MAX, "age_s": 100.0}
    await departures.give_up()


async def test_a_request_asks_for_progress_or_is_as_it_was() -> None:
    assert parse_request(request_line(Request("show", progress=True))).progress
    assert b"progress" not in request_line(Request("show"))


@pytest.mark.parametrize("wanted", [True, False])
async def test_only_who_asks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._PROGRESS_S", 0.01)
    departures, heard = Departures(lambda: 10), list[dict[str, Any]]()
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    async def leave(patience: Any) -> None:
        await (told.wait() if wanted else asyncio.sleep(0.2))

    def hear(news: dict[str, Any]) -> None:
        heard.append(news)
        loop.call_soon_threadsafe(told.set)

    async def answer(request: Request) -> str:
        await departures.wait(departures.begin(Thing(Kind.TARGET, "t"), leave, lambda: MANY[:1]))
        return "gone"

    server = Server(tmp_path / "sock", answer)
    await server.start()

    def ask() -> Any:
        with Client(tmp_path / "sock", timeout_s=WITHIN_S) as client:
            return client.call("target remove", {}, hear if wanted else None)

    assert await asyncio.to_thread(ask) == "gone"
    assert {one["thing"] for one in heard} == ({"target t"} if wanted else set())
    await server.stop()
