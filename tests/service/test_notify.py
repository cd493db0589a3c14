"""News for the service manager."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from support.manager import Manager

from tgtcore.service.notify import Notifier


@pytest.mark.parametrize("where", ["a path", "an abstract name"])
def test_each_news_is_one_datagram(tmp_path: Path, where: str) -> None:
    address = f"@tgtd-test-{os.getpid()}" if where == "an abstract name" else str(tmp_path / "notify")
    with Manager(address) as manager:
        notifier = Notifier(address)
        notifier.ready("serving\n2 disks")
        notifier.status("busy")
        notifier.stopping("draining")
        heard = [manager.next(5) for _ in range(3)]
    assert heard == [["READY=1", "STATUS=serving; 2 disks"], ["STATUS=busy"], ["STOPPING=1", "STATUS=draining"]]


def test_a_reload_says_when_it_began(tmp_path: Path) -> None:
    with Manager(tmp_path / "notify") as manager:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        Notifier(manager.address).reloading()
        news = manager.next(5)
    assert news is not None
    assert news[0] == "RELOADING=1"
    name, _, value = news[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_children_can_not_speak_for_us() -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "HOME": "/"}
    assert Notifier.from_environment(environ).address == "/run/notify"
    assert environ == {"HOME": "/"}


def test_without_a_manager_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    Notifier.from_environment({}).ready("serving")
    assert caplog.messages == []


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(str(tmp_path / "nobody")).ready("serving")
    assert "can't be told READY=1" in caplog.text


@pytest.mark.asyncio
async def test_more_time_is_asked_for_as_long_as_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.service.notify._EXTEND_S", 0.01)
    with Manager(tmp_path / "notify") as manager:
        with Notifier(manager.address).taking_time(asyncio.get_running_loop()):
            for _ in range(3):
                await asyncio.to_thread(manager.wait, "EXTEND_TIMEOUT_USEC=30000")
        while manager.next(0):
            pass
        assert await asyncio.to_thread(manager.next, 0.1) is None, "it was asked for afterwards"
