"""Events: told in order as far as there are buffers, each answered once."""

import asyncio
import os

import pytest

from tgtcore.errors import RingError
from tgtcore.isolation.events import Events, Refused
from tgtcore.ring import AckStatus, CoreEnd, Event, Geometry, doorbell
from tgtcore.ring.memory import Memory, create

GEOMETRY = Geometry(depth=16, data_bytes=4096, events=2, event_bytes=4096)


class Bench:
    def __init__(self) -> None:
        header = GEOMETRY.header(
            features=0, core_pid=1, driver_pid=2, driver_uid=3, instance=bytes(16), driver="tested"
        )
        fd = create(GEOMETRY, header)
        self.memory = Memory(fd, GEOMETRY)
        os.close(fd)
        requests, responses = doorbell.make(), doorbell.make()
        self.others = (requests[1], responses[0])
        loop = asyncio.get_running_loop()
        self.end = CoreEnd(self.memory, requests[0], responses[1], loop, {}, lambda _: None)
        self.events = Events(self.end, self.memory)

    def close(self) -> None:
        self.end.close()
        self.events.close()
        for fd in self.others:
            os.close(fd)


@pytest.mark.asyncio
async def test_those_for_which_there_is_no_buffer_wait_their_turn() -> None:
    bench = Bench()
    answers = [bench.events.post(Event.SHOW, payload=bytes([number])) for number in range(4)]
    assert bench.events.crowded
    bench.memory.events[:2] = b"ok"
    bench.events.acknowledged(1, AckStatus.DONE, 2)
    assert await answers[0] == b"ok"
    assert bench.memory.events[0] == 2, "the third has taken the place of the first"
    for number in (2, 3, 4):
        bench.events.acknowledged(number, AckStatus.DONE, 0)
    assert [await answer for answer in answers[1:]] == [b"", b"", b""]
    assert not bench.events.crowded
    bench.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("event_id", "status", "length"), [(2, 0, 0), (0, 0, 0), (1, 3, 0), (1, 0, 4097), (2**64 - 1, 0, 0)]
)
async def test_an_answer_that_can_not_be_is_a_breach_and_whoever_waits_hears_of_the_end(
    event_id: int, status: int, length: int
) -> None:
    bench = Bench()
    answer = bench.events.post(Event.CLOSE)
    with pytest.raises(RingError):
        bench.events.acknowledged(event_id, status, length)
    assert not answer.done()
    bench.close()
    with pytest.raises(RingError, match="the driver is gone"):
        await answer


@pytest.mark.asyncio
async def test_none_is_answered_twice() -> None:
    bench = Bench()
    bench.events.post(Event.CLOSE)
    bench.events.acknowledged(1, AckStatus.DONE, 0)
    with pytest.raises(RingError, match="event 1 is acknowledged, but there is none"):
        bench.events.acknowledged(1, AckStatus.DONE, 0)
    bench.close()


@pytest.mark.asyncio
async def test_a_refusal_comes_in_words_that_may_stand_in_a_log() -> None:
    bench = Bench()
    answers = [bench.events.post(Event.START), bench.events.post(Event.START)]
    bench.memory.events[:6] = b"no\x1b[2J"
    bench.events.acknowledged(1, AckStatus.FAILED, 6)
    bench.events.acknowledged(2, AckStatus.UNSUPPORTED, 0)
    with pytest.raises(Refused, match=r"^no\\x1b\[2J$"):
        await answers[0]
    with pytest.raises(Refused, match="the driver does not support START"):
        await answers[1]
    bench.close()


@pytest.mark.asyncio
async def test_what_a_driver_need_not_know_is_no_failure() -> None:
    bench = Bench()
    asked = [Event.SHOW, Event.DROP_SESSION, Event.LUNS_CHANGED]
    answers = [bench.events.post(kind) for kind in asked]
    for event_id in (1, 2, 3):
        bench.events.acknowledged(event_id, AckStatus.UNSUPPORTED, 4)
    assert [await answer for answer in answers] == [b"", b"", b""]
    bench.close()


@pytest.mark.asyncio
async def test_what_is_too_long_or_too_late_is_not_told() -> None:
    bench = Bench()
    with pytest.raises(Refused, match="expected at most 4096"):
        await bench.events.post(Event.SHOW, payload=bytes(4097))
    given_up = bench.events.post(Event.SHOW)
    given_up.cancel()
    bench.events.acknowledged(1, AckStatus.DONE, 0)
    bench.close()
    with pytest.raises(RingError, match="the driver is gone"):
        await bench.events.post(Event.SHOW)
