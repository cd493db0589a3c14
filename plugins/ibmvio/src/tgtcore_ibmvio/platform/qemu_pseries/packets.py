"""Packets of GDB's remote serial protocol, as QEMU's stub speaks it: bytes in, payloads out (GDB manual, appendix E.1)."""

PACKET_BYTES_MAX = 1 << 16
"""The stub sends none that is longer."""

_ACKNOWLEDGED = ord("+")
_ESCAPE = 0x7D
_ESCAPED_BY = 0x20


class BrokenPacket(OSError):
    """The peer is no GDB stub, or one that has lost its way."""


def encode(payload: bytes) -> bytes:
    """A packet; the payload holds no byte that needs escaping, as those of requests never do."""
    return b"$%b#%02x" % (payload, sum(payload) & 0xFF)


class PacketDecoder:
    """Finds payloads in a stream.  Acknowledgments are nothing: on a stream that loses nothing they say nothing."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are complete with these bytes.

        :raises BrokenPacket: what has come is no packet.
        """
        self._pending += data
        payloads = []
        while (end := self._end()) is not None:
            payloads.append(_payload(bytes(self._pending[1:end]), bytes(self._pending[end + 1 : end + 3])))
            del self._pending[: end + 3]
        return payloads

    def _end(self) -> int | None:
        """Where the mark behind the first packet is; None: not all of it is here."""
        pending = self._pending
        while pending and pending[0] == _ACKNOWLEDGED:
            del pending[0]
        if pending and pending[0] != ord("$"):
            raise BrokenPacket(f"the debugger's stub says {bytes(pending[:16])!r}, which begins no packet")
        end = pending.find(b"#")
        if end >= 0 and len(pending) >= end + 3:
            return end
        if len(pending) > PACKET_BYTES_MAX:
            raise BrokenPacket(f"the debugger's stub sends a packet of more than {PACKET_BYTES_MAX} bytes")
        return None


def _payload(content: bytes, checksum: bytes) -> bytes:
    if b"%02x" % (sum(content) & 0xFF) != checksum.lower():
        raise BrokenPacket(f"the debugger's stub sends a packet with a wrong checksum: {content[:40]!r}")
    if _ESCAPE not in content:
        return content
    plain = bytearray()
    bytes_left = iter(content)
    for byte in bytes_left:
        plain.append(byte if byte != _ESCAPE else next(bytes_left, 0) ^ _ESCAPED_BY)
    return bytes(plain)
