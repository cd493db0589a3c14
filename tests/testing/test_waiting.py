"""Waiting in tests."""

import asyncio
from itertools import count

import pytest

from tgtcore.testing.waiting import until, until_async


def test_what_comes() -> None:
    calls = count()
    until(lambda: next(calls) == 3)
    assert next(calls) == 4


def test_what_does_not_come() -> None:
    with pytest.raises(AssertionError, match=r"it did not come within 0\.01 s: only this"):
        until(lambda: False, 0.01, lambda: "only this")


@pytest.mark.parametrize("awaited", [False, True])
def test_the_loop_goes_on(awaited: bool) -> None:
    async def run() -> None:
        happened = asyncio.Event()

        async def ask() -> bool:
            return happened.is_set()

        asyncio.get_running_loop().call_later(0.01, happened.set)
        await until_async(ask if awaited else happened.is_set)
        happened.clear()
        with pytest.raises(AssertionError, match=r"it did not come within 0\.01 s"):
            await until_async(ask if awaited else happened.is_set, 0.01)

    asyncio.run(run())
