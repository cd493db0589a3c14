"""Many logical units and many sessions: what is held is in proportion to what is used, and all of it goes."""

import asyncio
import os
from pathlib import Path

import pytest
from oracle.crowd import TEST_UNIT_READY, Member, crowd
from oracle.many_units import file_units, null_units, targets
from oracle.served import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(110)]

SESSIONS, UNITS = 300, 3000
WAIT_S = 30
SESSION_BYTES_MAX = 40_000
REPORT_LUNS = bytes.fromhex("a0 00 00 00 00 00 00 10 00 00 00 00").ljust(16, b"\0")


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def sessions(daemon: Served) -> int:
    return len(await asyncio.to_thread(daemon.admin, "session", "list"))


def test_a_session_costs_what_it_uses_and_gives_it_back(tmp_path: Path) -> None:
    async def run(daemon: Served) -> None:
        before, quiet = resident_bytes(daemon.pid), descriptors(daemon.pid)
        async with crowd(daemon.portal, targets(1), SESSIONS) as members:
            await asyncio.gather(*(member.greet(range(3)) for member in members))
            assert descriptors(daemon.pid) >= quiet + SESSIONS
            assert resident_bytes(daemon.pid) - before < SESSIONS * SESSION_BYTES_MAX
            shown = await asyncio.to_thread(daemon.admin, "lu", "show", f"d{UNITS - 1}")
            assert [nexus["commands"] for nexus in shown["nexuses"]] == [0] * SESSIONS
            status, data = await members[0].execute(REPORT_LUNS, 0, 1 << 20)
            assert (status, len(data)) == (0, 8 + 8 * UNITS)
        async with asyncio.timeout(WAIT_S):
            while await sessions(daemon):
                pass
        assert descriptors(daemon.pid) <= quiet + 1
        assert daemon.admin("stat")["leases"] == []

    with Served.configured(tmp_path, null_units(UNITS)) as daemon:
        asyncio.run(run(daemon))


def test_a_lun_comes_and_goes_under_many_sessions(tmp_path: Path) -> None:
    lun = str(UNITS - 1)

    async def run(daemon: Served) -> None:
        async with crowd(daemon.portal, targets(1), SESSIONS) as members:
            await asyncio.gather(*(member.greet([0]) for member in members))
            await asyncio.to_thread(daemon.admin, "lun", "remove", targets(1)[0], lun)
            assert await asyncio.gather(*map(told, members)) == [(2, 0)] * SESSIONS
            await asyncio.to_thread(daemon.admin, "lun", "add", targets(1)[0], lun, f"d{lun}")
            assert await asyncio.gather(*map(told, members)) == [(2, 0)] * SESSIONS

    with Served.configured(tmp_path, null_units(UNITS)) as daemon:
        asyncio.run(run(daemon))


async def told(member: Member) -> tuple[int, int]:
    """Statuses of two commands: the first one tells of the change."""
    return (await member.execute(TEST_UNIT_READY))[0], (await member.execute(TEST_UNIT_READY))[0]


def test_an_image_takes_one_descriptor_and_a_stop_takes_everything(tmp_path: Path) -> None:
    images, count = tmp_path / "images", UNITS // 3
    images.mkdir()

    async def run(daemon: Served) -> None:
        async with crowd(daemon.portal, targets(4), SESSIONS) as members:
            await asyncio.gather(*(member.greet(range(2)) for member in members))
            counts = await asyncio.gather(*(member.read([0, 1] * 8, 8) for member in members))
            assert counts == [16] * SESSIONS
            assert count < descriptors(daemon.pid) < count + SESSIONS + 50
            assert await asyncio.to_thread(daemon.stop) == 0

    with Served.configured(tmp_path, file_units(images, count, 4)) as daemon:
        asyncio.run(run(daemon))
