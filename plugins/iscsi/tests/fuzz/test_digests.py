"""Header and data digests that are wrong end the connection; the others are checked by every session here (RFC 7143 7.7, 7.8)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.ahs import build_ahs
from tgtcore_iscsi.pdu.codes import Opcode, RejectReason

if TYPE_CHECKING:
    from conftest import Bench, Peer

MakeBench = Callable[..., "Bench"]

WRITE_6_BLOCKS = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 6, 0))
WRITE_FLAGS = 0xA1
CONTENT = b"\x3c" * 3072


def log_in(bench: "Bench", header: str, data: str) -> "Peer":
    peer = bench.peer()
    peer.log_in(1, HeaderDigest=header, DataDigest=data)
    for _ in range(2):
        peer.send(ping(peer))
    assert [response.opcode for response in peer.receive()] == [Opcode.NOP_IN] * 2
    return peer


def ping(peer: "Peer") -> bytes:
    return pdu.nop_out(itt=5, cmd_sn=peer.cmd_sn, exp_stat_sn=0)


def write(peer: "Peer", ahs: bytes = b"", **errors: int) -> None:
    """A whole write with its data; the first command is answered with the power-on attention."""
    for itt in (1, 2):
        header = pdu.scsi_command(
            WRITE_6_BLOCKS,
            flags=WRITE_FLAGS,
            lun=0,
            itt=itt,
            expected_length=len(CONTENT),
            cmd_sn=peer.cmd_sn,
            exp_stat_sn=0,
        )
        peer.cmd_sn += 1
        lengths = len(ahs) // 4 << 24 | len(CONTENT)
        peer.send(header[:4] + lengths.to_bytes(4, "big") + header[8:] + ahs, CONTENT, **(errors if itt == 2 else {}))


@pytest.mark.parametrize("ahs", [b"", build_ahs(bytes(8))], ids=["no AHS", "AHS"])
@pytest.mark.parametrize("header", ["None", "CRC32C"])
@pytest.mark.parametrize("data", ["None", "CRC32C"])
def test_right_digests(bench: MakeBench, header: str, data: str, ahs: bytes) -> None:
    scene = bench()
    peer = log_in(scene, header, data)
    scene.ram.content[:3072] = bytes(3072)
    write(peer, ahs)
    scene.finish()
    assert peer.alive
    assert not peer.witness.tasks or peer.receive()
    assert not peer.witness.tasks
    assert scene.ram.content[:3072] == CONTENT
    scene.assert_at_rest()


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ({"header_digest": 1}, RejectReason.PROTOCOL_ERROR),
        ({"header_digest": 1 << 31}, RejectReason.PROTOCOL_ERROR),
        ({"data_digest_error": 1}, RejectReason.DATA_DIGEST_ERROR),
    ],
)
def test_wrong_digests(bench: MakeBench, errors: dict[str, int], reason: RejectReason) -> None:
    scene = bench()
    peer = log_in(scene, "CRC32C", "CRC32C")
    scene.ram.content[:3072] = bytes(3072)
    write(peer, **errors)
    assert [response.fields.reason for response in peer.receive() if response.opcode is Opcode.REJECT] == [reason]
    assert not peer.alive
    scene.finish()
    assert not any(scene.ram.content[:3072])
    scene.assert_at_rest()


@pytest.mark.parametrize("length", [1, 2, 3, 5, 1001])
def test_padding_is_part_of_the_digest(bench: MakeBench, length: int) -> None:
    scene = bench()
    peer = log_in(scene, "None", "CRC32C")
    data = b"\xff" * length
    peer.send(pdu.nop_out(data, itt=7, cmd_sn=peer.cmd_sn, exp_stat_sn=0)[:48], data)
    [response] = peer.receive()
    assert response.data == data
    scene.assert_at_rest()
