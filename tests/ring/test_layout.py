"""Structures as tables of fields."""

import ctypes

import pytest

from tgtcore.ring import geometry, messages
from tgtcore.ring.attach import HELLO, WELCOME
from tgtcore.ring.layout import Field, Layout

EVERY = [
    geometry.HEADER,
    HELLO,
    WELCOME,
    *messages.REQUESTS.values(),
    *messages.RESPONSES.values(),
    messages.EVENT,
]
C_TYPES = {"u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u32": ctypes.c_uint32, "u64": ctypes.c_uint64}


def as_c_has_it(layout: Layout) -> type[ctypes.LittleEndianStructure]:
    """The same structure, placed by a C compiler's rules."""
    fields = [
        (field.name, ctypes.c_uint8 * field.kind if isinstance(field.kind, int) else C_TYPES[field.kind])
        for field in layout.fields
    ]
    return type(layout.name, (ctypes.LittleEndianStructure,), {"_fields_": fields})


@pytest.mark.parametrize("layout", EVERY, ids=lambda layout: layout.name)
def test_c_places_every_field_where_the_table_does(layout: Layout) -> None:
    structure = as_c_has_it(layout)
    assert ctypes.sizeof(structure) == layout.size
    for offset, field in layout.placed():
        assert (getattr(structure, field.name).offset, getattr(structure, field.name).size) == (offset, field.size)


@pytest.mark.parametrize(
    ("kinds", "wrong"),
    [
        (("u8", "u16"), r"odd\.f1 is at offset 1, expected a multiple of 2"),
        (("u32", "u64"), r"odd\.f1 is at offset 4, expected a multiple of 8"),
        ((3, "u32"), r"odd\.f1 is at offset 3, expected a multiple of 4"),
        (("u64", "u32"), "odd has 12 bytes, expected a multiple of 8"),
        (("u16", 1), "odd has 3 bytes, expected a multiple of 2"),
    ],
)
def test_what_c_would_pad_is_refused(kinds: tuple[str | int, ...], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Layout("odd", "", *(Field(f"f{number}", kind, "") for number, kind in enumerate(kinds)))


def test_bytes_need_no_alignment() -> None:
    layout = Layout("even", "", Field("number", "u8", ""), Field("name", 7, ""), Field("size", "u64", ""))
    assert [offset for offset, _ in layout.placed()] == [0, 1, 8]
    place = bytearray(20)
    layout.pack_into(place, 2, 1, b"disk", 2**64 - 1)
    assert layout.unpack_from(place, 2) == (1, b"disk\0\0\0", 2**64 - 1)
    assert place[:2] == place[18:] == b"\0\0"
