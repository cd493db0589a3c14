"""Abort and reset: what ends, in which order it is answered, and what the front end is told."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.memory import Memory
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import FAILED, SUCCEEDED, Host, result

from tgtcore import InitiatorPort, TargetPort, TaskState, Tmf, TmfRequest, manage
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

if TYPE_CHECKING:
    from conftest import Bench

GOOD, ABORTED, RESET = result(Host.OK), result(Host.ABORT), result(Host.RESET)


def test_an_aborted_command_is_answered_before_the_abort(bench: "Bench") -> None:
    """The device can't be stopped, so both answers wait for it."""
    front = bench.front
    assert bench.ask(front.command(1, HELD), front.command(2, HELD)) == []
    assert bench.ask(front.abort(3, 1)) == []
    bench.device().release()
    bench.loop.run()
    assert front.take() == [Response(1, ABORTED), Response(3, SUCCEEDED), Response(2, GOOD)]
    assert bench.connection.figures.aborted == 1
    bench.end()


def test_a_command_is_aborted_that_came_in_the_same_wake_up(bench: "Bench") -> None:
    """Its data-out was not fetched yet: it has no effect."""
    front = bench.front
    request = front.command(1, write(512), front.segments(512), out=True)
    answers = bench.ask(request, front.abort(2, 1))
    assert answers == [Response(1, ABORTED, 512), Response(2, SUCCEEDED)]
    assert bench.device().written == b""
    assert bench.connection.figures.copy_calls == 0
    assert bench.memory.data_bytes == 0
    bench.end()


def test_a_command_that_has_ended_is_answered_first(bench: "Bench") -> None:
    front = bench.front
    segments = front.segments(512)
    answers = bench.ask(front.command(1, read(512), segments), front.abort(2, 1))
    assert answers == [Response(1, GOOD), Response(2, SUCCEEDED)]
    assert front.data(segments) == content(512)
    bench.end()


def test_what_is_not_there_is_aborted(bench: "Bench") -> None:
    assert bench.ask(bench.front.abort(2, 1)) == [Response(2, SUCCEEDED)]
    bench.end()


def test_who_aborts_again_and_again_fills_no_log(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(20):
        bench.ask(*(bench.front.abort(rqid, 99) for rqid in range(8)))
    said = [record for record in caplog.records if record.name == "tgtcore_xen.hba.management"]
    assert len(said) == 100
    assert said[-1].message == "web1/0: ABORT TASK; more of this is not logged"
    assert bench.connection.figures.functions == 160
    bench.end()


@pytest.mark.parametrize("lun", [1, 2, 3])
def test_a_command_of_another_device_goes_on(bench: "Bench", lun: int) -> None:
    front = bench.front
    assert bench.ask(front.command(1, HELD), front.abort(2, 1, lun=lun)) == [Response(2, FAILED)]
    bench.device().release()
    bench.loop.run()
    assert front.take() == [Response(1, GOOD)]
    bench.end()


def test_a_reset_ends_everything_of_the_device(bench: "Bench") -> None:
    front = bench.front
    held = [front.command(1, HELD), front.command(2, HELD), front.command(3, HELD, lun=1)]
    assert bench.ask(*held, front.reset(4)) == []
    bench.device(0).release()
    bench.loop.run()
    assert front.take() == [Response(1, RESET), Response(2, RESET), Response(4, SUCCEEDED)]
    bench.device(1).release()
    bench.loop.run()
    assert front.take() == [Response(3, GOOD)]
    (response,) = bench.ask(front.command(5, READY))
    assert (response.rqid, response.result) == (5, Status.CHECK_CONDITION), "the reset is told"
    bench.end()


@pytest.mark.parametrize("lun", [2, 3])
def test_a_reset_of_what_is_not_there(bench: "Bench", lun: int) -> None:
    assert bench.ask(bench.front.reset(4, lun=lun)) == [Response(4, FAILED)]
    bench.end()


def test_another_initiator_resets_the_device(bench: "Bench") -> None:
    """The guest has not asked for that: what it is told makes it run the command again."""
    front = bench.front
    other = bench.host.open_nexus(bench.host.target, InitiatorPort("web2", b"\2" * 24), TargetPort("web2/0", 2, 1, 4))
    bench.ask(front.command(1, HELD))
    done: list[object] = []
    manage(other, TmfRequest(Tmf.LOGICAL_UNIT_RESET), done.append)
    bench.device().release()
    bench.loop.run()
    assert len(done) == 1
    (response,) = front.take()
    assert response in (Response(1, RESET), Response(1, Status.TASK_ABORTED))
    other.close(lambda: None)
    bench.end()


def test_a_command_is_aborted_while_its_data_out_is_fetched(make_bench: Callable[..., "Bench"]) -> None:
    """Its data comes, but it has ended, and has no effect."""
    made = []

    def make(length: int) -> bytearray:
        made.append(length)
        if len(made) == 2:
            task = bench.nexus.tasks[1]
            assert task.state is TaskState.DATA
            task.abort(None)
        return bytearray(length)

    bench = make_bench(memory=Memory(1 << 20, make))
    front = bench.front
    requests = [front.command(tag, write(512), front.segments(512, tag), out=True, lun=tag - 1) for tag in (1, 2)]
    front.fill(front.segments(512, 2), content(512))
    assert bench.ask(*requests) == [Response(1, RESET, 512), Response(2, GOOD)]
    assert (bench.device(0).written, bench.device(1).written) == (b"", content(512))
    bench.end()
