"""Recorded bytes of TCP connections, written as a capture file that any protocol decoder reads."""

import struct
import threading
from pathlib import Path

_LINK_RAW_IP = 101
_SEGMENT = 32 << 10
_ADDRESSES = (bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2)))
ISCSI_PORT = 3260


class Capture:
    """Collects pieces of data in the order in which they were seen; `add` fits the relay's `observe`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: list[tuple[int, bool, bytes]] = []

    def add(self, connection: int, from_initiator: bool, data: bytes) -> None:
        """Remember one piece of data."""
        with self._lock:
            self._pieces += [
                (connection, from_initiator, data[at : at + _SEGMENT]) for at in range(0, len(data), _SEGMENT)
            ]

    def write(self, path: Path) -> None:
        """Write the capture file, the target at the port that decoders expect."""
        sent: dict[tuple[int, bool], int] = {}
        with path.open("wb") as file:
            file.write(struct.pack("<LHHlLLL", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, _LINK_RAW_IP))
            for index, (connection, from_initiator, data) in enumerate(self._pieces):
                here, there = sent.get((connection, from_initiator), 1), sent.get((connection, not from_initiator), 1)
                packet = _packet(40000 + connection, from_initiator, here, there, data)
                file.write(struct.pack("<LLLL", 0, index, len(packet), len(packet)) + packet)
                sent[connection, from_initiator] = here + len(data)


def _packet(port: int, from_initiator: bool, sequence: int, acknowledged: int, data: bytes) -> bytes:
    ports = (port, ISCSI_PORT) if from_initiator else (ISCSI_PORT, port)
    source, destination = _ADDRESSES if from_initiator else _ADDRESSES[::-1]
    tcp = struct.pack(">HHLLBBHHH", *ports, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 0x50, 0x18, 65535, 0, 0)
    total = 20 + len(tcp) + len(data)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 6, 0, source, destination)
    return ip + tcp + data
