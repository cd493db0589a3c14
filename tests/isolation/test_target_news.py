"""What a driver is told of targets: all that there are, then what changes, each once and in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from isolation.hostile import Hostile, joined

from tgtcore import signals
from tgtcore.isolation.attendant import Attendant
from tgtcore.isolation.target_news import TargetNews
from tgtcore.options import NoOptions
from tgtcore.ring import AckStatus, Event, messages, words
from tgtcore.scsi.lun import encode_lun
from tgtcore.target import Target
from tgtcore.testing.host import TestHost

_TURNS = 8


class Told(NamedTuple):
    kind: Event
    target: int
    payload: bytes

    @property
    def about(self) -> tuple[str, dict[str, Any]]:
        """A target's name, and what else there is to know."""
        (name,) = words.split(self.payload, 1)
        return name.decode(), json.loads(self.payload[2 + len(name) :])


class Bench:
    """A driver that does nothing but listen."""

    def __init__(self) -> None:
        self.host = TestHost(asyncio.get_running_loop(), "tested", "t")
        self.asked = 0
        self.news = TargetNews(self.host, self._told)
        self.reasons: list[str] = []
        self._drivers: list[Hostile] = []

    def _told(self) -> None:
        self.asked += 1

    def attach(self) -> Attendant:
        ours, theirs = joined()
        self._drivers.append(Hostile(theirs, 1, wildness=0))
        return Attendant(self.host, ours, lambda _: None, self.reasons.append)

    async def heard(self, attendant: Attendant) -> list[Told]:
        """What the last driver was told since it was asked; all of it is acknowledged."""
        driver = self._drivers[-1]
        found = []
        before = -1
        while before < len(found):  # there may be more than there are buffers
            before = len(found)
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            for at in driver.said():
                kind, _, _, length, event_id, buffer, target, _, _ = messages.EVENT.unpack_from(
                    driver.memory.responses, at
                )
                begin = buffer * driver.memory.geometry.event_bytes
                found.append(Told(Event(kind), target, bytes(driver.memory.events[begin : begin + length])))
                attendant.events.acknowledged(event_id, AckStatus.DONE, 0)
        return found

    def close(self) -> None:
        self.news.forget()
        for driver in self._drivers:
            driver.leave()
        assert not [one for one in signals.listeners() if getattr(one, "__self__", None) is self.news]


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest_asyncio.fixture
async def attendant(bench: Bench) -> AsyncIterator[Attendant]:
    made = bench.attach()
    bench.news.follow()
    yield made
    made.close()


LUNS = b"".join(encode_lun(lun)[::-1] for lun in (0, 1))


@pytest.mark.asyncio
async def test_a_new_driver_is_told_of_every_target_and_its_luns(bench: Bench, attendant: Attendant) -> None:
    answers = list(bench.news.tell_all(attendant))
    added, luns = await bench.heard(attendant)
    assert (added.kind, added.target, luns) == (Event.TARGET_ADDED, 1, Told(Event.LUNS_CHANGED, 1, LUNS))
    assert added.about == ("t", {"alias": "", "options": {}, "open": True, "drained": False})
    assert attendant.targets == {1: bench.host.target}
    assert [answer.result() for answer in answers] == [b"", b""]
    assert bench.asked == 0, "whoever asks for everything asks for the ports too"


@pytest.mark.asyncio
async def test_changes_are_told_as_things_are_now(bench: Bench, attendant: Attendant) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    target = bench.host.target
    target.alias = "disk \u00e9"
    target.drained = True
    target.leases.shut()
    signals.emit(signals.target_changed, target)
    (changed,) = await bench.heard(attendant)
    assert (changed.kind, changed.target) == (Event.TARGET_CHANGED, 1)
    assert changed.about == ("t", {"alias": "disk \u00e9", "options": {}, "open": False, "drained": True})
    assert bench.asked == 1


@pytest.mark.asyncio
async def test_luns_that_come_and_go_are_told_as_all_that_there_are(bench: Bench, attendant: Attendant) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    target = bench.host.target
    target.unmap(0, lambda: None)
    target.unmap(1, lambda: None)
    target.map(0x3FFF, bench.host.lus[0])
    told = await bench.heard(attendant)
    assert [(one.kind, one.payload) for one in told] == [
        (Event.LUNS_CHANGED, LUNS[8:]),
        (Event.LUNS_CHANGED, b""),
        (Event.LUNS_CHANGED, encode_lun(0x3FFF)[::-1]),
    ]


@pytest.mark.asyncio
async def test_a_target_that_comes_later_is_told_and_its_ports_are_asked_for(
    bench: Bench, attendant: Attendant
) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    bench.host.target = other = Target("other", 9, "tested", NoOptions())
    signals.emit(signals.target_added, other)
    added, luns = await bench.heard(attendant)
    assert (added.kind, added.about[0], luns) == (Event.TARGET_ADDED, "other", Told(Event.LUNS_CHANGED, 9, b""))
    assert (bench.asked, attendant.targets[9]) == (1, other)


@pytest.mark.asyncio
async def test_a_target_that_goes_is_told_once(bench: Bench, attendant: Attendant) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    for _ in range(2):
        signals.emit(signals.target_removed, bench.host.target)
    assert await bench.heard(attendant) == [Told(Event.TARGET_REMOVED, 1, b"")]
    assert attendant.targets == {}
    signals.emit(signals.target_changed, bench.host.target)
    assert await bench.heard(attendant) == []


@pytest.mark.asyncio
async def test_other_transports_targets_are_nobodys_news_even_with_the_same_number(
    bench: Bench, attendant: Attendant
) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    stranger = Target("stranger", 1, "other", NoOptions())
    for signal in (signals.target_added, signals.target_changed, signals.target_removed):
        signals.emit(signal, stranger)
    stranger.map(0, bench.host.lus[0])
    assert await bench.heard(attendant) == []
    assert attendant.targets == {1: bench.host.target}


@pytest.mark.asyncio
async def test_without_a_driver_and_after_it_nothing_happens(bench: Bench) -> None:
    bench.news.follow()
    signals.emit(signals.target_added, bench.host.target)
    attendant = bench.attach()
    list(bench.news.tell_all(attendant))
    attendant.close()
    for signal in (signals.target_changed, signals.target_removed, signals.target_added):
        signals.emit(signal, bench.host.target)
    assert bench.asked == 0


@pytest.mark.asyncio
async def test_the_next_driver_is_told_and_the_one_before_is_not(bench: Bench, attendant: Attendant) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    attendant.close()
    following = bench.attach()
    list(bench.news.tell_all(following))
    signals.emit(signals.target_changed, bench.host.target)
    kinds = [one.kind for one in await bench.heard(following)]
    assert kinds == [Event.TARGET_ADDED, Event.LUNS_CHANGED, Event.TARGET_CHANGED]
    following.close()


@pytest.mark.asyncio
async def test_who_does_not_follow_any_more_hears_nothing(bench: Bench, attendant: Attendant) -> None:
    list(bench.news.tell_all(attendant))
    await bench.heard(attendant)
    bench.news.forget()
    bench.news.forget()
    signals.emit(signals.target_changed, bench.host.target)
    assert await bench.heard(attendant) == []


@pytest.mark.asyncio
async def test_more_news_than_there_are_buffers_come_in_order(bench: Bench, attendant: Attendant) -> None:
    list(bench.news.tell_all(attendant))
    for number in range(20):
        bench.host.target.alias = str(number)
        signals.emit(signals.target_changed, bench.host.target)
    told = await bench.heard(attendant)
    assert [one.about[1]["alias"] for one in told[2:]] == [str(number) for number in range(20)]
