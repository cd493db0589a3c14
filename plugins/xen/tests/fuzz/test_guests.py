"""Hostile guests, with their rings, their memory and their nodes, beside a neighbour with verified I/O.

``TGTCORE_HOSTILE_EVENTS`` says how many things they do in the long run.
"""

import os

import pytest

EVENTS = int(os.environ.get("TGTCORE_HOSTILE_EVENTS", "60000"))
PARTS = 4
EVENTS_OF_ONE_RUN = 20_000
EVENTS_IN_SHORT = 3000
GAP_S = 10.0
"""No command of the neighbour takes longer, on a machine that many share."""


async def check(siege, events, seed):
    done = 0
    while done < events:
        acts = min(EVENTS_OF_ONE_RUN, events - done)
        await siege.attack(acts, seed + done)
        await siege.quiet()
        done += acts
        print(f"{done} events; {siege}; neighbour: {siege.neighbour}", flush=True)
        await siege.serves()
    print(dict(siege.acts))
    assert siege.connections > done / 2000
    assert siege.accepted > done / 200
    assert siege.host.device(1).pieces > done / 1000
    assert siege.neighbour.commands > done / 1000
    assert events <= EVENTS_IN_SHORT or any("cut off" in why for why in siege.cut_off)


@pytest.mark.asyncio
async def test_nobody_else_notices(siege):
    await check(siege, EVENTS_IN_SHORT, 1)
    assert siege.neighbour.refused == 0


@pytest.mark.asyncio
async def test_with_the_least_memory_everybody_is_answered(poor_siege):
    await check(poor_siege, EVENTS_IN_SHORT, 2)


@pytest.mark.slow
@pytest.mark.timeout(60 + EVENTS / 500)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.asyncio
async def test_nobody_else_notices_for_long(siege, part):
    await check(siege, EVENTS // PARTS, part << 32)
    assert siege.neighbour.refused == 0
    assert siege.neighbour.longest_s < GAP_S


@pytest.mark.slow
@pytest.mark.timeout(60 + EVENTS / 500)
@pytest.mark.asyncio
async def test_with_the_least_memory_everybody_is_answered_for_long(poor_siege):
    await check(poor_siege, EVENTS // PARTS, PARTS << 32)
    assert poor_siege.memory.refusals > 0
