"""What one kind of header looks like: its fields in order, usable in both directions (RFC 7143 clause 11)."""

import struct
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tgtcore_iscsi.pdu.codes import IMMEDIATE, Opcode

Fields = TypeVar("Fields", bound=tuple[Any, ...])


class Layout(Generic[Fields]):
    """Reads and writes the header of one kind of PDU.

    :ivar unpack_from: the fields as a plain tuple, for code that runs once per command.
    """

    __slots__ = ("fields", "opcode", "pack", "unpack_from")

    def __init__(self, opcode: Opcode, fields: type[Fields], body: str) -> None:
        self.opcode = int(opcode)
        self.fields = fields
        self.pack: Callable[..., bytes] = struct.Struct(">B" + body).pack
        self.unpack_from: Callable[..., tuple[Any, ...]] = struct.Struct(">x" + body).unpack_from

    def parse(self, buffer: bytes | bytearray | memoryview, offset: int = 0) -> Fields:
        """Return the fields of the header at ``offset``; byte 0 is not looked at."""
        return self.fields(*self.unpack_from(buffer, offset))

    def build(self, fields: Fields, *, immediate: bool = False) -> bytes:
        """Return the 48 bytes of a header."""
        return self.pack(self.opcode | IMMEDIATE if immediate else self.opcode, *fields)
