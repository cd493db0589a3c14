"""A client of contrib/ring-driver: any CDB to any LUN, many at a time."""

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("=BBHIIIQQQ")
PACKET_BYTES_MAX = 256 * 1024
SIMPLE = 1


class Packet(NamedTuple):
    """What rawd has said."""

    kind: str
    code: int
    wanted: int
    there_is: int
    tag: int
    sense: bytes
    data: bytes


class RawClient:
    """One session.

    :raises ConnectionRefusedError: rawd says no; the message says why.
    """

    def __init__(self, path: Path, target: str, initiator: str = "tester") -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        if error := self.socket.connect_ex(str(path)):
            self.close()
            raise OSError(error, os.strerror(error))
        self._last_tag = 0
        self.say("H", length=len(initiator), rest=initiator.encode() + target.encode())
        answer = self.hear()
        if answer.code:
            self.close()
            raise ConnectionRefusedError(answer.data.decode())

    def say(self, kind: str, *, length: int = 0, code: int = 0, rest: bytes = b"", **more: int) -> None:
        """Send a packet."""
        numbers = [more.get(name, 0) for name in ("out", "room", "reserved", "tag", "lun", "referenced")]
        self.socket.send(_HEAD.pack(ord(kind), code, length, *numbers) + rest)

    def hear(self) -> Packet:
        """The next packet.

        :raises ConnectionError: rawd has hung up.
        """
        packet = self.socket.recv(PACKET_BYTES_MAX)
        if not packet:
            raise ConnectionError("rawd has hung up")
        kind, code, length, out, there_is, _, tag, _, _ = _HEAD.unpack_from(packet)
        rest = packet[_HEAD.size :]
        return Packet(chr(kind), code, out, there_is, tag, rest[:length], rest[length:])

    def begin(self, cdb: bytes, out: bytes = b"", room: int = 0, *, lun: int = 0, now: int | None = None) -> int:
        """Send a command and so many bytes of its data-out (all of them unless told otherwise); returns its tag."""
        self._last_tag += 1
        present = out[:now]
        self.say(
            "C",
            length=len(cdb),
            code=SIMPLE,
            rest=cdb + present,
            out=len(out),
            room=room,
            tag=self._last_tag,
            lun=lun << 48,
        )
        return self._last_tag

    def execute(self, cdb: bytes, out: bytes = b"", room: int = 0, *, lun: int = 0, now: int | None = None) -> Packet:
        """Send a command, bring the data-out that it asks for, and return how it has ended."""
        tag = self.begin(cdb, out, room, lun=lun, now=now)
        answer = self.hear()
        if answer.kind == "W":
            self.say("D", tag=tag, rest=out[now or 0 : answer.wanted])
            answer = self.hear()
        assert (answer.kind, answer.tag) == ("S", tag)
        return answer

    def manage(self, function: int, lun: int = 0, referenced: int = 0) -> int:
        """Ask for a task management function; returns its tag."""
        self._last_tag += 1
        self.say("M", code=function, tag=self._last_tag, lun=lun << 48, referenced=referenced)
        return self._last_tag

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
