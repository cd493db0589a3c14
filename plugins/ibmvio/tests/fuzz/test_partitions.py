"""Hostile client partitions at the sockets and in the memory of the machine, beside a neighbour with verified I/O.

``TGTCORE_HOSTILE_EVENTS`` says how much they do in the long run: elements that they send, and what else they do.
"""

import asyncio
import os
import random

import pytest
from support.growth import grown

from .partition import Hostile
from .siege import HOSTILE

EVENTS = int(os.environ.get("TGTCORE_HOSTILE_EVENTS", "60000"))
EVENTS_OF_ONE = 2500
GAP_S = 3.0
"""The neighbour never has to do longer without an answer, on a machine that many share."""


async def attack(siege, events, seed):
    """One, two or three hostile partitions after others; after each everything is as it was, and honest ones are served."""
    done, seeds = 0, random.Random(seed)
    while done < events:
        chosen = seeds.sample(HOSTILE, seeds.choice((1, 2, 3)))
        partitions = [Hostile(siege, address, random.Random(seeds.random())) for address in chosen]
        share = min(EVENTS_OF_ONE, -(-(events - done) // len(partitions)))
        with siege.scribbler(random.Random(seeds.random())):
            async with asyncio.TaskGroup() as group:
                for one in partitions:
                    group.create_task(one.run(share))
        done += sum(one.events for one in partitions)
        await siege.quiet()
        for address in chosen:
            await siege.serves(address)
        await siege.quiet()
    return done


async def check(siege, events, seed):
    """Attack; with numbers for whoever wants to see them."""
    done = await attack(siege, events // 4, seed)
    before = await siege.needed()
    done += await attack(siege, events - done, seed + 1)
    after = await siege.needed()
    print(f"{done} events; {siege}; neighbour: {siege.neighbour}; from {before} to {after}")
    assert siege.accepted > done / 8
    assert siege.connections > done / 500
    assert siege.neighbour.commands > done / 1000
    assert grown(before, after) == {}


@pytest.mark.asyncio
async def test_nobody_else_notices(siege):
    await check(siege, EVENTS_OF_ONE, 1)
    assert siege.neighbour.refused == 0


@pytest.mark.asyncio
async def test_with_the_least_memory_everybody_is_answered(poor_siege):
    await check(poor_siege, EVENTS_OF_ONE, 2)
    assert poor_siege.neighbour.refused == 0


@pytest.mark.slow
@pytest.mark.timeout(60 + EVENTS / 500)
@pytest.mark.asyncio
async def test_nobody_else_notices_for_long(siege):
    await check(siege, EVENTS, 3)
    assert siege.waited > 0
    assert siege.settled > 0
    assert siege.neighbour.refused == 0
    assert siege.neighbour.longest_s < GAP_S


@pytest.mark.slow
@pytest.mark.timeout(60 + EVENTS / 500)
@pytest.mark.asyncio
async def test_with_the_least_memory_everybody_is_answered_for_long(poor_siege):
    await check(poor_siege, EVENTS // 3, 4)
    assert poor_siege.memory.refusals > 0
    assert poor_siege.settled > 0
    assert poor_siege.neighbour.refused == 0
    assert poor_siege.neighbour.longest_s < GAP_S
