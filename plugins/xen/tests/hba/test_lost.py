"""A back end dies, and no journal tells what was under way: nothing is done twice, and nothing is forgotten."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_xen.hba.journal import Journal
from tgtcore_xen.vscsiif.layout import INDEX_MASK, SLOTS
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import FAILED, SUCCEEDED, Host, result
from tgtcore_xen.vscsiif.ring import BackRing

from tgtcore.testing.host import HELD, READY, content, write
from tgtcore.testing.initiator import forget_attentions

if TYPE_CHECKING:
    from conftest import Bench

GOOD, ABORTED, RESET = result(Host.OK), result(Host.ABORT), result(Host.RESET)
INDEXES = [0, INDEX_MASK, INDEX_MASK - 3]

MakeBench = Callable[..., "Bench"]


def die(bench: "Bench", journal: Journal | None = None, *, start: bool = True) -> None:
    """The back end is killed, and another one takes its place."""
    bench.platform.die()
    bench.start()
    forget_attentions(bench.nexus)
    bench.connect(journal, start=start)


def found(bench: "Bench") -> Journal | None:
    return Journal.found(bench.folder / "journal", "web1/0")


def new(bench: "Bench") -> Journal:
    return Journal.new(bench.folder / "journal", "web1/0")


def test_what_was_published_is_told_though_the_back_end_died_before_it_could(bench: "Bench") -> None:
    """The kernel does it, so that no guest waits for the next back end with an answer before its eyes."""
    front, connection = bench.front, bench.connection
    connection._channel.notify = lambda: None  # type: ignore[method-assign]
    front.put(front.command(1, READY))
    bench.loop.run()
    front.notified = 0
    assert not front.responses
    bench.platform.die()
    bench.loop.run()
    assert front.notified == 1
    assert front.responses == [Response(1, GOOD)]


@pytest.mark.parametrize("index", INDEXES)
def test_what_was_not_taken_is_done(make_bench: MakeBench, index: int) -> None:
    """Nothing was under way: a ring without a journal is as good as one with."""
    bench = make_bench(index=index)
    front = bench.front
    assert bench.ask(front.command(1, READY)) == [Response(1, GOOD)]
    bench.platform.die()
    segments = front.segments(512)
    front.fill(segments, content(512))
    front.put(front.command(1, write(512), segments, out=True), front.command(2, HELD))
    die(bench)
    assert front.take() == [Response(1, GOOD)]
    assert bench.device().written == content(512)
    bench.device().release()
    bench.loop.run()
    assert front.take() == [Response(2, GOOD)]
    assert bench.connection.figures.lost == 0
    bench.end()


@pytest.mark.parametrize("index", INDEXES)
def test_what_was_answered_out_of_order_is_not_done_again(make_bench: MakeBench, index: int) -> None:
    """The one that has an answer still stands in the ring, the one that has none does not."""
    bench = make_bench(index=index)
    front = bench.front
    segments = front.segments(512)
    front.fill(segments, content(512))
    assert bench.ask(front.command(1, HELD), front.command(2, write(512), segments, out=True)) == [Response(2, GOOD)]
    die(bench)
    assert front.take() == []
    assert bench.device().written == b""
    assert (bench.connection.in_flight, bench.connection.figures.lost) == (1, 1)
    assert bench.ask(front.command(2, READY)) == [Response(2, GOOD)], "others go on"
    assert bench.ask(front.abort(3, 1)) == [Response(1, ABORTED), Response(3, SUCCEEDED)]
    assert (bench.connection.in_flight, bench.connection.figures.lost, bench.connection.loss) == (0, 0, "")
    assert bench.ask(front.abort(3, 1)) == [Response(3, SUCCEEDED)], "it is lost no more"
    bench.end()


def test_it_is_told(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    bench.ask(bench.front.command(1, HELD), bench.front.command(2, HELD))
    die(bench)
    said = "requests that were under way and that no journal knows: 2; each ends when the guest aborts it"
    assert bench.connection.loss == said
    assert f"web1/0: {said}" in caplog.text
    bench.end()


@pytest.mark.parametrize("busy", [False, True])
def test_killed_before_it_rests(bench: "Bench", busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also then the page says how much was taken: one that was taken later is answered, one that was taken before is not."""
    front = bench.front
    bench.ask(front.command(1, HELD))
    with monkeypatch.context() as patch:
        if busy:
            patch.setattr(BackRing, "rest", lambda self: False)
        assert bench.ask(front.command(2, READY)) == [Response(2, GOOD)]
    bench.platform.die()
    front.put(front.command(3, READY))
    die(bench)
    assert front.take() == [Response(3, GOOD)]
    assert bench.connection.figures.lost == 1
    bench.end()


def test_an_abort_that_waited_in_the_ring(bench: "Bench") -> None:
    """The guest's patience has ended while no back end was there."""
    front = bench.front
    bench.ask(front.command(1, HELD))
    bench.platform.die()
    front.put(front.abort(2, 1))
    die(bench)
    assert front.take() == [Response(1, ABORTED), Response(2, SUCCEEDED)]
    bench.end()


def test_what_is_answered_already_is_not_answered_again(bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest aborts what it has not seen the response of; that of the lost one comes all the same."""
    front = bench.front
    with monkeypatch.context() as patch:
        patch.setattr(front, "take_responses", lambda: None)
        assert bench.ask(front.command(1, HELD), front.command(2, READY)) == []
        bench.platform.die()
        front.put(front.abort(3, 2))
    die(bench)
    assert front.take() == [Response(2, GOOD), Response(3, SUCCEEDED)]
    assert bench.ask(front.command(4, READY)) == [Response(4, GOOD)]
    assert bench.ask(front.abort(5, 4)) == [Response(5, SUCCEEDED)]
    assert bench.connection.figures.lost == 1
    assert bench.ask(front.abort(5, 1)) == [Response(1, ABORTED), Response(5, SUCCEEDED)]
    bench.end()


@pytest.mark.parametrize("newest", ["command", "abort"])
@pytest.mark.parametrize("index", INDEXES)
def test_a_full_ring(make_bench: MakeBench, index: int, newest: str) -> None:
    """The guest has no room for an abort before it has one answer."""
    bench = make_bench(index=index)
    front = bench.front
    for rqid in range(SLOTS - 1):
        bench.ask(front.command(rqid, HELD))
    bench.ask(front.command(99, HELD) if newest == "command" else front.abort(99, 0))
    assert front.ring.room == 0
    die(bench)
    assert front.take() == [Response(99, RESET if newest == "command" else FAILED)]
    for rqid in range(SLOTS - 1):
        assert bench.ask(front.abort(50, rqid)) == [Response(rqid, ABORTED), Response(50, SUCCEEDED)]
    assert bench.connection.figures.lost == 0
    bench.end()


def test_a_new_journal_remembers_that_some_are_lost(bench: "Bench") -> None:
    front = bench.front
    bench.ask(front.command(1, HELD), front.command(2, HELD), front.command(3, READY))
    die(bench, new(bench))
    for _ in range(2):
        bench.ask(front.command(3, READY), front.command(4, HELD))
        die(bench, found(bench))
        assert bench.connection.figures.lost == 2
        bench.device().release()  # it was done again
        bench.loop.run()
        assert {response.rqid for response in front.take()} == {4}
    assert bench.ask(front.abort(5, 2)) == [Response(2, ABORTED), Response(5, SUCCEEDED)]
    die(bench, found(bench))
    assert bench.connection.figures.lost == 1
    assert bench.ask(front.abort(5, 1)) == [Response(1, ABORTED), Response(5, SUCCEEDED)]
    bench.end()


def test_a_journal_that_was_made_and_not_begun_does_not_count(bench: "Bench") -> None:
    bench.ask(bench.front.command(1, HELD))
    die(bench, new(bench), start=False)
    assert found(bench) is None
    die(bench, new(bench))
    assert bench.connection.figures.lost == 1
    bench.end()


def test_a_journal_of_an_earlier_time(bench: "Bench") -> None:
    """A back end without one has served the ring meanwhile: what it answered may not be done again."""
    front = bench.front
    die(bench, new(bench))
    bench.ask(front.command(1, HELD))
    die(bench)
    assert bench.ask(front.abort(2, 1)) == [Response(1, ABORTED), Response(2, SUCCEEDED)]
    die(bench, found(bench))
    assert bench.broken == ["the journal has 1 requests that were taken, expected 0 at most, as the ring says"]
    assert bench.device().held == []
    bench.end()
