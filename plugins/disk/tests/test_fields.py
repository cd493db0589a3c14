import pytest
from tgtcore_disk.fields import fields_of, length_byte


@pytest.mark.parametrize(
    ("cdb", "fields", "byte"),
    [
        ("08 ff ffff 03 00", (0x1FFFFF, 3, 0), 4),
        ("0a 00 0001 00 00", (1, 256, 0), 4),
        ("28 18 00000102 00 0304 00", (0x102, 0x304, 0x18), 7),
        ("41 08 ffffffff 1f ffff 00", (0xFFFFFFFF, 0xFFFF, 0x08), 7),
        ("a8 08 00000102 00000304 00 00", (0x102, 0x304, 0x08), 6),
        ("88 08 ffffffffffffffff ffffffff 00 00", (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF, 0x08), 10),
    ],
)
def test_where_the_fields_are(cdb: str, fields: tuple[int, int, int], byte: int) -> None:
    raw = bytes.fromhex(cdb)
    assert fields_of[raw[0]](raw.ljust(16, b"\0")) == fields
    assert length_byte(raw[0]) == byte
