"""Work that goes on to its end."""

import asyncio

import pytest
from daemon.conftest import Running

from tgtcore.daemon.lasting import to_the_end
from tgtcore.errors import DrainTimeout

pytestmark = pytest.mark.asyncio


async def test_what_ends_in_time_is_returned(running: Running) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await to_the_end(work(), "the work", running.daemon.inventory.units["a"].lu, 10) == 7


@pytest.mark.parametrize(("fails", "said"), [(False, "the work has ended now"), (True, "the work has failed")])
async def test_what_takes_longer_goes_on_and_tells(
    running: Running, caplog: pytest.LogCaptureFixture, fails: bool, said: str
) -> None:
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        if fails:
            raise ZeroDivisionError

    caplog.set_level("INFO")
    with pytest.raises(DrainTimeout, match="the work has not ended after 0 s: its store hangs"):
        await to_the_end(work(), "the work", running.daemon.inventory.units["a"].lu, 0)
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert said in caplog.text
