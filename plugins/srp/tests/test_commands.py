"""Commands from SRP_CMD to SRP_RSP."""

from typing import TYPE_CHECKING

import pytest

from tgtcore.scsi.status import Status
from tgtcore.testing.host import READY, content, read, write

if TYPE_CHECKING:
    from conftest import Bench


def test_a_command_without_data(bench: "Bench") -> None:
    peer = bench.session()
    peer.command(7, READY)
    answer = peer.answer()
    assert (answer.tag, answer.delta, answer.status, answer.flags) == (7, 1, Status.GOOD, 0)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("length", [1, 512, 100_000])
@pytest.mark.parametrize("later", [False, True])
def test_data_in(bench: "Bench", length: int, later: bool) -> None:
    peer = bench.session()
    peer.fabric.moves = None if later else True
    peer.command(7, read(length), room=length)
    if later:
        assert peer.receive() == []
        peer.fabric.move()
    assert peer.answer().flags == 0
    assert peer.fabric.ram[:length] == content(length)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("length", [1, 512, 100_000])
@pytest.mark.parametrize("later", [False, True])
def test_data_out(bench: "Bench", length: int, later: bool) -> None:
    peer = bench.session()
    peer.fabric.moves = None if later else True
    peer.command(7, write(length), content(length))
    if later:
        assert peer.receive() == []
        peer.fabric.move()
    assert peer.answer().flags == 0
    assert bench.device().written == content(length)
    bench.assert_at_rest()
    bench.end()
