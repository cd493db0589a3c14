"""A driver process from its start to its end, and what becomes of one that misbehaves."""

import asyncio
import gc
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from isolation.wayward import NAME, WaywardOptions, install

from tgtcore import signals
from tgtcore.errors import ConfigError
from tgtcore.isolation.orders import Orders
from tgtcore.isolation.process_driver import ProcessDriver
from tgtcore.isolation.ring_driver import Patience
from tgtcore.limits import DRIVER_LOG_BURST_BYTES_MAX, DRIVER_LOG_BYTES_PER_SECOND_MAX
from tgtcore.options import NoOptions
from tgtcore.target import Target
from tgtcore.testing.host import TestHost
from tgtcore.testing.waiting import until_async

WAIT_S = 30
TARGET = "iqn.2025-01.example:wayward"
HASTY = Patience(first_s=0.05, pulse_s=0.2)
NEVER_AGAIN = Patience(first_s=3600, longest_s=3600)


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", install(tmp_path))


def made(host: TestHost, patience: Patience = HASTY, plugin: str = NAME, **options: str) -> ProcessDriver:
    orders = Orders(plugin, NAME, -1, "", "INFO")
    return ProcessDriver(orders, host, WaywardOptions(**options), patience)


@asynccontextmanager
async def running(patience: Patience = HASTY, **options: str) -> AsyncIterator[tuple[ProcessDriver, TestHost]]:
    """A driver that has started; nothing is left of it at the end."""
    host = TestHost(asyncio.get_running_loop(), NAME, TARGET)
    before = descriptors()
    driver = made(host, patience, **options)
    await driver.start()
    try:
        yield driver, host
    finally:
        async with asyncio.timeout(WAIT_S):
            await driver.close()
        assert driver.child is None
        assert not children()
        assert not Counter(descriptors()) - Counter(before), "something was left open"
        host.check_quiet()


async def state(driver: ProcessDriver) -> dict[str, Any]:
    found: dict[str, Any] = (await driver.statistics())["process"]
    return found


def kill(driver: ProcessDriver, number: int = signal.SIGKILL) -> None:
    assert driver.child is not None
    os.kill(driver.child.pid, number)


async def brought_down(driver: ProcessDriver) -> None:
    """Killed until its keeper waits for long."""
    kill(driver)
    await until_async(lambda: driver.starts == 2 and driver.attendant is not None)
    kill(driver)
    await until_async(lambda: driver.child is None)


def descriptors() -> list[str]:
    """What is open, but for the one that looks and what the test before has left to the collector."""
    gc.collect()
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            pass
    return sorted(found)


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.mark.asyncio
async def test_it_serves_and_ends() -> None:
    async with running() as (driver, host):
        about = await state(driver)
        assert (about["state"], about["starts"], about["last_end"]) == ("serving", 1, "")
        assert about["pid"] == driver.child.pid  # type: ignore[union-attr]
        (portal,) = await driver.portals()
        socket.create_connection(("127.0.0.1", int(portal.address.rpartition(":")[2])), 1).close()
        assert driver.target_ports(host.target)[0].relative_id == 1
        assert await driver.sessions() == []
        assert await driver.drop_session("1") is False


@pytest.mark.asyncio
async def test_one_that_is_killed_is_back_at_once_with_its_sockets(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as (driver, host):
        (portal,) = await driver.portals()
        kill(driver)
        await until_async(lambda: driver.attendant is None)
        assert await driver.portals() == []
        assert await driver.sessions() == []
        assert driver.target_ports(host.target), "commands may ask at any time"
        waiting = socket.create_connection(("127.0.0.1", int(portal.address.rpartition(":")[2])), 1)
        await until_async(lambda: driver.starts == 2 and driver._state == "serving")
        assert await driver.portals() == [portal]
        assert (await state(driver))["last_end"] == "has ended by signal 9"
        waiting.close()
    assert "the driver process has ended by signal 9; another one is started at once" in caplog.text


def test_patience_grows_and_is_limited() -> None:
    patience = Patience(first_s=0.1, longest_s=10)
    assert [patience.wait_s(deaths) for deaths in (1, 2, 3, 4, 9, 1000)] == [0, 0.1, 0.2, 0.4, 10, 10]


@pytest.mark.parametrize(
    ("options", "patience", "message"),
    [
        ({"start": "refuse"}, HASTY, "the portal is taken"),
        ({"start": "die"}, HASTY, "the driver process has ended with status 3: these are my last words"),
        ({"start": "hang"}, Patience(start_s=0.5), "the driver process does not answer"),
        ({"lie": "ports"}, HASTY, "there can be no target port with the numbers"),
        ({"lie": "many ports"}, HASTY, r"its answer about ports can't be: 1: List should have at most 256 items"),
    ],
)
@pytest.mark.asyncio
async def test_one_that_can_not_start_leaves_nothing(options: dict[str, str], patience: Patience, message: str) -> None:
    host = TestHost(asyncio.get_running_loop(), NAME, TARGET)
    before = descriptors()
    driver = made(host, patience, **options)
    with pytest.raises(ConfigError, match=message):
        await driver.start()
    assert (driver.child, driver.attendant, children()) == (None, None, "")
    assert not Counter(descriptors()) - Counter(before), "something was left open"
    assert (await state(driver))["state"] == "ended"


@pytest.mark.asyncio
async def test_a_plugin_that_can_not_be_loaded_is_named() -> None:
    driver = made(TestHost(asyncio.get_running_loop(), NAME, TARGET), plugin="nowhere")
    with pytest.raises(ConfigError, match=r"ended with status 1: .*nowhere"):
        await driver.start()
    assert not children()


@pytest.mark.asyncio
async def test_an_unknown_user_is_refused() -> None:
    driver = ProcessDriver(
        Orders(NAME, NAME, -1, "no-such-user", "INFO"),
        TestHost(asyncio.get_running_loop(), NAME, TARGET),
        WaywardOptions(),
    )
    with pytest.raises(ConfigError, match='no user "no-such-user"'):
        await driver.start()


@pytest.mark.parametrize("how", ["stopped", "hangs"])
@pytest.mark.asyncio
async def test_one_that_hangs_is_dropped_and_replaced(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patience = Patience(pulse_s=0.1, answer_s=1)
    marker = tmp_path / "marker"
    async with running(patience, hangs_when=str(marker)) as (driver, _):
        if how == "stopped":
            kill(driver, signal.SIGSTOP)
        else:
            marker.touch()
        await until_async(lambda: driver.attendant is None)
        marker.unlink(missing_ok=True)
        await until_async(lambda: driver.starts >= 2 and driver._state == "serving")  # a slow one may be dropped again
    assert "the driver is dropped: it has not answered SHOW within 1 s" in caplog.text


@pytest.mark.asyncio
async def test_one_that_can_not_start_again_is_tried_again_and_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = tmp_path / "marker"
    async with running(start="die", marker=str(marker)) as (driver, _):
        marker.touch()
        kill(driver)
        await until_async(lambda: driver.starts == 4)
        assert len(children().split()) <= 1
        marker.unlink()
        await until_async(lambda: driver._state == "serving")
    assert "could not be started: the driver process has ended with status 3: these are my last words" in caplog.text
    assert "another one is started in 0.1 s" in caplog.text


@pytest.mark.asyncio
async def test_it_ends_at_once_while_it_waits_to_start_again() -> None:
    async with running(NEVER_AGAIN) as (driver, _):
        await brought_down(driver)
        await until_async(lambda: driver._state == "waiting")
        async with asyncio.timeout(WAIT_S):
            await driver.close()


@pytest.mark.asyncio
async def test_it_ends_in_the_middle_of_another_start(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    async with running(start="hang", marker=str(marker)) as (driver, _):
        marker.touch()
        driver._patience = replace(HASTY, start_s=0.5)  # the first start had as long as it took
        kill(driver)
        await until_async(lambda: driver.starts == 2 and driver.attendant is not None)


@pytest.mark.asyncio
async def test_what_is_wanted_while_there_is_no_process_is_settled() -> None:
    async with running(NEVER_AGAIN) as (driver, host):
        (portal,) = await driver.portals()
        await brought_down(driver)
        async with asyncio.timeout(WAIT_S):
            await driver.drop_target(host.target)
            assert await driver.drop_session("1") is False
            await driver.apply_options(WaywardOptions(lie="nothing"))
            assert driver.options == WaywardOptions(lie="nothing")
            assert driver.target_ports(host.target)
            await driver.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(portal.address.rpartition(":")[2])), 1)


@pytest.mark.asyncio
async def test_targets_that_come_and_go_while_it_starts_again_are_known_to_it() -> None:
    async with running() as (driver, host):
        kill(driver)
        await until_async(lambda: driver.attendant is None)
        former = host.target
        host.target = Target("iqn.2025-01.example:new", 7, NAME, NoOptions())
        signals.emit(signals.target_removed, former)
        signals.emit(signals.target_added, host.target)
        await until_async(lambda: driver._state == "serving" and driver.starts == 2)
        assert driver.target_ports(host.target)
        assert not driver.target_ports(former)
        another = Target("iqn.2025-01.example:another", 8, NAME, NoOptions())
        host.target = another
        signals.emit(signals.target_added, another)
        await until_async(lambda: driver.target_ports(another))


@pytest.mark.asyncio
async def test_options_that_are_refused_or_deadly_are_not_in_force(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as (driver, _):
        with pytest.raises(ConfigError, match="the portal is taken"):
            await driver.apply_options(WaywardOptions(change="refuse"))
        with pytest.raises(ConfigError, match="the driver is gone"):
            await driver.apply_options(WaywardOptions(change="die"))
        assert driver.options == WaywardOptions()
        await until_async(lambda: driver._state == "serving" and driver.starts == 2)


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("sessions", "it tells of 17000 sessions in "),
        ("endless", "it tells of 17 sessions in 17002125 bytes, expected at most 16384 in 16777216"),
        ("portals", "its answer about portals can't be: List should have at most 256 items"),
        ("statistics", "its answer about statistics can't be"),
    ],
)
@pytest.mark.asyncio
async def test_one_that_tells_what_can_not_be_is_dropped(
    lie: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(lie=lie) as (driver, _):
        await driver.sessions()
        await driver.portals()
        await driver.statistics()
        await until_async(lambda: driver._state == "serving" and driver.starts == 2)
    assert f"the driver is dropped: {message}" in caplog.text


@pytest.mark.asyncio
async def test_one_that_always_has_another_session_to_tell_of_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Each answer comes in time, and whoever has asked would wait for hours."""
    async with running(Patience(first_s=0.05, answer_s=1), lie="dawdling") as (driver, _):
        async with asyncio.timeout(WAIT_S):
            assert await driver.sessions() == []
        await until_async(lambda: driver._state == "serving" and driver.starts >= 2)
    assert "the driver is dropped: it has not told all its sessions within 1 s" in caplog.text


@pytest.mark.asyncio
async def test_who_logs_too_much_is_not_heard(caplog: pytest.LogCaptureFixture) -> None:
    async with running(start="chatter") as (driver, _):
        kill(driver)
        await until_async(lambda: driver.starts == 2 and driver._state == "serving")
    lines = [record.getMessage() for record in caplog.records]
    assert sum("it logs too much" in line for line in lines) >= 2
    began, ended = caplog.records[0].created, caplog.records[-1].created
    allowed = DRIVER_LOG_BURST_BYTES_MAX + (ended - began + 1) * DRIVER_LOG_BYTES_PER_SECOND_MAX
    assert sum(map(len, lines)) < allowed
    assert not any(line.startswith("2026") or "\x1b" in line for line in lines), "it speaks as somebody else"
