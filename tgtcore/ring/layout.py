"""Structures in shared memory as tables of fields: the code, the C header and the reference page are made of the same ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any

_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


@dataclass(frozen=True)
class Field:
    """One field.

    :param kind: ``u8``, ``u16``, ``u32`` or ``u64``, little-endian; a number is an array of so many bytes.
    :param meaning: what the field says, for the reference page.
    """

    name: str
    kind: str | int
    meaning: str

    @property
    def code(self) -> str:
        """The format character of the struct module."""
        return f"{self.kind}s" if isinstance(self.kind, int) else _CODES[self.kind]

    @property
    def size(self) -> int:
        """In bytes."""
        return Struct("<" + self.code).size

    @property
    def alignment(self) -> int:
        """Its offset is a multiple of so many bytes."""
        return 1 if isinstance(self.kind, int) else self.size


class Layout:
    """A structure: fields one after the other, placed as C would place them; what C would pad, the table names as reserved.

    :param name: its name, also in C.
    :param meaning: what it is, for the reference page.
    :raises ValueError: C would pad it.
    """

    def __init__(self, name: str, meaning: str, *fields: Field) -> None:
        self.name = name
        self.meaning = meaning
        self.fields = fields
        packed = Struct("<" + "".join(field.code for field in fields))
        self.size = packed.size
        self.pack_into: Any = packed.pack_into
        """``pack_into(buffer, offset, *values)``, in the order of the fields."""
        self.unpack_from: Any = packed.unpack_from
        """``unpack_from(buffer, offset)`` → the values of all fields."""
        for offset, field in self.placed():
            if offset % field.alignment:
                raise ValueError(f"{name}.{field.name} is at offset {offset}, expected a multiple of {field.alignment}")
        widest = max(field.alignment for field in fields)
        if self.size % widest:
            raise ValueError(f"{name} has {self.size} bytes, expected a multiple of {widest}")

    def placed(self) -> Iterator[tuple[int, Field]]:
        """Every field with its offset."""
        offset = 0
        for field in self.fields:
            yield offset, field
            offset += field.size
