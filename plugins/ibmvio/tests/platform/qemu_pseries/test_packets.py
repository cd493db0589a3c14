"""Packets of the debugger's protocol, in any pieces."""

import pytest
from tgtcore_ibmvio.platform.qemu_pseries.packets import PACKET_BYTES_MAX, BrokenPacket, PacketDecoder, encode


def test_a_packet_has_its_checksum():
    assert encode(b"g") == b"$g#67"


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_packets_come_in_any_pieces_and_acknowledgments_are_nothing(step):
    decoder = PacketDecoder()
    stream = b"++" + encode(b"OK") + b"+" + encode(b"T05thread:01;") + encode(b"")
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert [payload for piece in pieces for payload in decoder.feed(piece)] == [b"OK", b"T05thread:01;", b""]


def test_escaped_bytes_are_themselves():
    assert PacketDecoder().feed(encode(b"a}\x03b")) == [b"a#b"]


@pytest.mark.parametrize("stream", [b"-", b"HTTP/1.1", b"$g#68", b"$" + b"0" * PACKET_BYTES_MAX + b"1"])
def test_what_is_no_packet_is_refused(stream):
    with pytest.raises(BrokenPacket, match="stub"):
        PacketDecoder().feed(stream)
