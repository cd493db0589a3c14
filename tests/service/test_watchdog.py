"""The sign of life."""

import asyncio
import os
from pathlib import Path

import pytest
from support.manager import Manager

from tgtcore.service.notify import Notifier
from tgtcore.service.watchdog import Watchdog


@pytest.mark.parametrize(
    ("environ", "period_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "2000000"}, 2),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "-1"}, 0),
    ],
    ids=["nobody", "whoever", "us", "another", "nonsense", "negative"],
)
def test_the_environment_asks_for_it_once(environ: dict[str, str], period_s: float) -> None:
    environ = dict(environ)
    assert Watchdog.from_environment(Notifier(), environ).period_s == period_s
    assert environ == {}


@pytest.mark.asyncio
async def test_it_comes_from_the_loop(tmp_path: Path) -> None:
    with Manager(tmp_path / "notify") as manager:
        Watchdog(Notifier(manager.address), 0.02).start(asyncio.get_running_loop())
        for _ in range(3):
            await asyncio.to_thread(manager.wait, "WATCHDOG=1")
        while manager.next(0):
            pass
        assert manager.next(0.2) is None, "a loop that hangs gave a sign of life"
        await asyncio.to_thread(manager.wait, "WATCHDOG=1")
