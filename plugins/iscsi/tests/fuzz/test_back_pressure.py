"""A peer that stops reading for a while loses nothing of what it has sent meanwhile."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.codes import Opcode

if TYPE_CHECKING:
    from conftest import Bench


@pytest.mark.parametrize("data_bytes", [0, 1000, 3000, 4096])
@pytest.mark.parametrize("high_bytes", [1, 5_000, 20_000])
def test_every_ping_is_answered_in_the_end(
    bench: "Callable[..., Bench]", monkeypatch: pytest.MonkeyPatch, data_bytes: int, high_bytes: int
) -> None:
    monkeypatch.setattr("tgtcore_iscsi.connection.OUTBOUND_BYTES_HIGH", high_bytes)
    scene = bench(max_recv_data_segment_length=4096)
    peer = scene.peer()
    peer.log_in(1)
    peer.socket.room = 0
    data = bytes(data_bytes)
    stream = b"".join(pdu.nop_out(data, itt=itt, cmd_sn=1, exp_stat_sn=0) for itt in range(50))
    peer.deliver(stream)
    assert len(peer.socket.incoming) < len(stream)
    answered = []
    while len(answered) < 50:
        assert peer.alive
        peer.socket.room = 10_000
        scene.loop.run()
        responses = peer.receive()
        assert responses
        assert {response.opcode for response in responses} <= {Opcode.NOP_IN}
        answered += [response.fields.itt for response in responses]
    assert answered == list(range(50))
    scene.assert_at_rest()
