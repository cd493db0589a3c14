"""Drivers that attach by themselves: who may, what they learn, and what becomes of one that leaves."""

import asyncio
import os
import pwd
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from isolation.wayward import NAME, WaywardOptions, install

from tgtcore.errors import ConfigError
from tgtcore.isolation.attached_driver import KNOCKING_MAX, AttachedDriver, Door
from tgtcore.isolation.ring_driver import Patience
from tgtcore.testing.host import TestHost
from tgtcore.testing.waiting import until_async

WAIT_S = 30
TARGET = "iqn.2025-01.example:wayward"
CALM = Patience(pulse_s=0.2, answer_s=20)


class Visits:
    """A transport for which drivers attach, and the processes of those that did."""

    def __init__(self, folder: Path, patience: Patience = CALM, user: str | None = None, **options: str) -> None:
        self.path = folder / "ring.sock"
        self.host = TestHost(asyncio.get_running_loop(), NAME, TARGET)
        self.driver = AttachedDriver(NAME, Door(self.path, user), self.host, WaywardOptions(**options), patience)
        self.processes: list[asyncio.subprocess.Process] = []
        self._environment = {**os.environ, "PYTHONPATH": install(folder)}

    async def visitor(self, name: str = "visitor", **more: Any) -> asyncio.subprocess.Process:
        """Start a driver."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "isolation.visitor",
            str(self.path),
            name,
            env=self._environment,
            stderr=asyncio.subprocess.PIPE,
            **more,
        )
        self.processes.append(process)
        return process

    async def served(self, name: str = "visitor") -> asyncio.subprocess.Process:
        """Start a driver and see that it serves."""
        process = await self.visitor(name)
        await until_async(self.serving)
        return process

    async def serving(self) -> bool:
        return bool((await self.about())["state"] == "serving")

    async def portal(self) -> str:
        return "".join(portal.address for portal in await self.driver.portals())

    async def about(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.driver.statistics())["process"]
        return found


@asynccontextmanager
async def visits(folder: Path, patience: Patience = CALM, **more: Any) -> AsyncIterator[Visits]:
    made = Visits(folder, patience, **more)
    await made.driver.start()
    try:
        yield made
    finally:
        async with asyncio.timeout(WAIT_S):
            await made.driver.close()
            for process in made.processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        made.host.check_quiet()


async def said(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """How a driver has ended, and its last line."""
    async with asyncio.timeout(WAIT_S):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode().strip().rpartition("\n")[2]


@pytest.mark.asyncio
async def test_without_a_driver_there_is_nothing_and_nothing_fails(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        driver = made.driver
        assert (await driver.portals(), await driver.sessions(), await driver.urls(made.host.target)) == (
            [],
            [],
            {0: [], 1: []},
        )
        assert await made.about() == {"state": "waiting", "driver": "", "attached": 0}
        await driver.drop_target(made.host.target)
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert not made.path.exists()


@pytest.mark.asyncio
async def test_a_driver_attaches_learns_its_targets_and_ends_with_the_transport(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        process = await made.served("tester")
        assert made.driver.target_ports(made.host.target)[0].relative_id == 1
        about = await made.about()
        assert (about["state"], about["driver"]) == ("serving", f"tester (process {process.pid})")
        await made.driver.close()
        assert await said(process) == (0, "")


@pytest.mark.asyncio
async def test_there_is_one_at_a_time_and_the_next_one_may_come_when_it_has_gone(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        first = await made.served("first")
        portal = await made.portal()
        status, reason = await said(await made.visitor("second"))
        assert status == 1
        assert reason == f"transport {NAME} has a driver already: first (process {first.pid})"
        first.kill()
        await first.wait()
        await made.served("third")
        assert await made.portal() == portal, "its socket was kept for the next one"
        assert (await made.about())["attached"] == 2


@pytest.mark.asyncio
async def test_options_and_targets_are_those_of_now_for_one_that_comes_later(tmp_path: Path) -> None:
    async with visits(tmp_path, start="refuse") as made:
        await made.driver.apply_options(WaywardOptions())
        await made.served()
        with pytest.raises(ConfigError, match="the portal is taken"):
            await made.driver.apply_options(WaywardOptions(change="refuse"))
        assert made.driver.options == WaywardOptions()
        assert await made.driver.reload(WaywardOptions(lie="statistics"), 1) == "its driver has the options anew"


@pytest.mark.asyncio
async def test_one_that_can_not_serve_is_let_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with visits(tmp_path, start="refuse") as made:
        process = await made.visitor("clumsy")
        await said(process)
        assert made.driver.attendant is None
        await made.driver.apply_options(WaywardOptions())
        await made.served("able")
    assert f"driver clumsy (process {process.pid}) could not be brought to its work: " in caplog.text
    assert "the portal is taken" in caplog.text


@pytest.mark.asyncio
async def test_one_that_hangs_is_dropped_and_another_may_come(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with visits(tmp_path, Patience(pulse_s=0.1, answer_s=2)) as made:
        first = await made.served()
        first.send_signal(signal.SIGSTOP)

        async def gone() -> bool:
            return made.driver.attendant is None

        await until_async(gone)
        await made.served("another")
        first.send_signal(signal.SIGCONT)
        await said(first)
    assert "the driver is dropped: it has not answered SHOW within 2 s" in caplog.text


@pytest.mark.asyncio
async def test_while_it_is_drained_nobody_comes_in_and_then_the_one_who_waits_does(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        driver = made.driver
        await made.served()
        await driver.stop_listening()
        assert await driver.portals() == []
        made.processes[0].kill()
        await made.processes[0].wait()
        late = await made.visitor("late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late.wait(), 1)
        assert (await made.about())["state"] == "waiting"
        await driver.start()
        await until_async(made.serving)
        await driver.stop_listening()
        assert await driver.portals() == []
        await driver.start()
        assert await made.portal()


@pytest.mark.asyncio
async def test_the_socket_belongs_to_who_may_attach(tmp_path: Path) -> None:
    user = pwd.getpwuid(os.geteuid())
    async with visits(tmp_path, user=user.pw_name) as made:
        found = made.path.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (user.pw_uid, 0o600)
    with pytest.raises(ConfigError, match='no user "no-such-user"'):
        Visits(tmp_path / "other", user="no-such-user")


@pytest.mark.asyncio
async def test_who_is_not_named_is_refused_even_when_he_has_got_in(tmp_path: Path) -> None:
    driver = Visits(tmp_path).driver
    assert driver._refusal(1, 0) == driver._refusal(1, os.geteuid()) == ""
    assert driver._refusal(1, 4711) == f"user 4711 may not attach a driver for transport {NAME}"


@pytest.mark.asyncio
async def test_those_who_knock_and_say_nothing_are_few(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        links = []
        for _ in range(KNOCKING_MAX + 4):
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.settimeout(WAIT_S)
            await asyncio.to_thread(link.connect, str(made.path))
            links.append(link)
        links[-1].settimeout(WAIT_S)
        assert await asyncio.to_thread(links[-1].recv, 1) == b"", "it is turned away"
        for link in links:
            link.close()
        await made.served("the one that speaks")


@pytest.mark.asyncio
async def test_a_socket_that_a_successor_has_keeps_its_name(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        (door,) = await made.driver.listening_sockets()
        assert door[0] == str(made.path)
        inherited = door[1].dup()
    assert made.path.exists()
    with inherited, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as late:
        late.connect(str(made.path))


@pytest.mark.asyncio
async def test_a_socket_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    async with visits(tmp_path) as made:
        second = AttachedDriver(NAME, Door(made.path), made.host, WaywardOptions())
        with pytest.raises(ConfigError, match="another program is using it"):
            await second.start()
        await second.close()
        assert made.path.exists()
