"""Data is copied once: between the buffer of the logical unit and the pages of the guest, by the platform."""

import errno
from typing import TYPE_CHECKING

import pytest
from tgtcore_xen.vscsiif.response import Response

from tgtcore.testing import host as core
from tgtcore.testing.host import content, read, write

if TYPE_CHECKING:
    from conftest import Bench, Watched

LENGTHS = [512, 4096, 70_000, 40 * 4096 + 5]


@pytest.mark.parametrize("shorter_by", [0, 100])
@pytest.mark.parametrize("length", LENGTHS)
def test_what_the_logical_unit_gives_is_what_is_copied(
    bench: "Bench", watched: "Watched", monkeypatch: pytest.MonkeyPatch, length: int, shorter_by: int
) -> None:
    given = bytearray(content(length))
    monkeypatch.setattr(core, "content", lambda _: given)
    front = bench.front
    segments = front.segments(length - shorter_by)
    indirect = len(segments) > 26
    request = front.command(1, read(length), front.table(segments) if indirect else segments, indirect=indirect)
    assert bench.ask(request) == [Response(1, 0)]
    assert front.data(segments) == given[: length - shorter_by]
    data = watched.copies[-1]
    assert data.to_guest
    memory = data.memory
    assert memory is given if not shorter_by else isinstance(memory, memoryview) and memory.obj is given
    assert len(watched.copies) == 1 + indirect
    bench.end()


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_copied_from_the_guest_is_what_the_logical_unit_gets(
    bench: "Bench", watched: "Watched", length: int
) -> None:
    bench.device().hangs = True
    front = bench.front
    segments = front.segments(length)
    front.fill(segments, content(length))
    indirect = len(segments) > 26
    request = front.command(
        1, write(length), front.table(segments) if indirect else segments, out=True, indirect=indirect
    )
    assert bench.ask(request) == []
    (task,) = bench.device().held
    assert task.data_out == content(length)
    assert watched.copies[-1].memory is task.data_out, "there was another buffer between"
    assert len(watched.copies) == 1 + indirect
    bench.device().release()
    bench.loop.run()
    assert front.take() == [Response(1, 0)]
    bench.end()


def test_what_fails_here_while_it_is_delivered_takes_no_memory_along(
    bench: "Bench", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(copies: object) -> list[bool]:
        raise OSError(errno.EBADF, "the device is gone")

    monkeypatch.setattr(bench.platform.grants, "copy", fails)
    front = bench.front
    requests = [front.command(rqid, read(9000), front.segments(9000)) for rqid in range(4)]
    assert bench.ask(*requests) == []
    assert bench.broken == ["a failure of our own, which is in the log"]
    bench.end()
