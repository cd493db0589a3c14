"""The doorbells: what is announced is heard, and no side can bring the other to a standstill."""

import asyncio
import fcntl
import os
from collections.abc import Iterator

import pytest

from tgtcore.errors import RingError
from tgtcore.ring import doorbell

WAIT_S = 5


@pytest.fixture
def bell() -> Iterator[tuple[int, int]]:
    ends = doorbell.make()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass  # the test has closed it


def test_counts_add_up(bell: tuple[int, int]) -> None:
    heard, rung = bell
    with pytest.raises(BlockingIOError):
        doorbell.heard(heard)
    doorbell.ring(rung, 3)
    assert doorbell.heard(heard) == 3
    for count in (1, 2, 2**64 - 1):
        doorbell.ring(rung, count)
    assert doorbell.heard(heard) == 2**64 + 2


def test_what_is_no_count_is_refused(bell: tuple[int, int]) -> None:
    os.write(bell[1], b"123")
    with pytest.raises(RingError, match="3 bytes came through the doorbell"):
        doorbell.heard(bell[0])


def test_the_end_is_heard_and_a_bell_without_a_listener_goes_nowhere(bell: tuple[int, int]) -> None:
    other = doorbell.make()
    os.close(other[0])
    doorbell.ring(other[1], 1)
    os.close(other[1])
    os.close(bell[1])
    assert doorbell.heard(bell[0]) is None


def test_one_side_can_not_make_the_other_wait(bell: tuple[int, int]) -> None:
    heard, rung = bell
    fcntl.fcntl(rung, fcntl.F_SETFL, 0)
    with pytest.raises(BlockingIOError):
        doorbell.heard(heard)


@pytest.mark.asyncio
async def test_the_patient_one_announces_later_what_does_not_fit_now() -> None:
    heard, rung = doorbell.make()
    bell = doorbell.PatientBell(rung, asyncio.get_running_loop())
    room = fcntl.fcntl(rung, fcntl.F_SETPIPE_SZ, 4096) // doorbell.COUNT_BYTES
    for _ in range(room + 10):
        bell.ring(1)
    announced = 0
    async with asyncio.timeout(WAIT_S):
        while announced < room + 10:
            try:
                announced += doorbell.heard(heard) or 0
            except BlockingIOError:
                await asyncio.sleep(0)
    assert announced == room + 10
    os.close(heard)
    bell.ring(1)
    bell.close()


@pytest.mark.asyncio
async def test_the_patient_one_may_be_closed_while_it_owes() -> None:
    heard, rung = doorbell.make()
    bell = doorbell.PatientBell(rung, asyncio.get_running_loop())
    for _ in range(fcntl.fcntl(rung, fcntl.F_SETPIPE_SZ, 4096) // doorbell.COUNT_BYTES + 1):
        bell.ring(1)
    bell.close()
    os.close(heard)
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(rung)


@pytest.mark.asyncio
async def test_who_may_wait_waits_until_there_is_room() -> None:
    heard, rung = doorbell.make()
    room = fcntl.fcntl(rung, fcntl.F_SETPIPE_SZ, 4096) // doorbell.COUNT_BYTES
    for _ in range(room):
        doorbell.ring(rung, 1)
    ringing = asyncio.create_task(asyncio.to_thread(doorbell.ring, rung, 5))
    announced = 0
    async with asyncio.timeout(WAIT_S):
        while announced < room + 5:
            try:
                announced += doorbell.heard(heard) or 0
            except BlockingIOError:
                await asyncio.sleep(0)
        await ringing
    assert announced == room + 5
    os.close(heard)
    os.close(rung)
