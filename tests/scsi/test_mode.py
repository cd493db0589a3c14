import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.scsi.mode import (
    ModePage,
    SelectedPage,
    block_descriptor,
    check_changes,
    parameter_data,
    parse_parameter_list,
    selected,
)
from tgtcore.scsi.parameters import ParameterError

CACHING = ModePage(0x08, 0, bytes.fromhex("0400"), bytes.fromhex("0400"))
CONTROL = ModePage(0x0A, 0, bytes.fromhex("0010"), bytes.fromhex("0401"))
CONTROL_EXTENSION = ModePage(0x0A, 0x01, bytes(3), bytes.fromhex("000080"))
PAGES = [CONTROL_EXTENSION, CONTROL, CACHING]

short_blocks = block_descriptor(0x100, 512, long=False)
long_blocks = block_descriptor(1 << 40, 4096, long=True)


def test_pages_have_one_of_two_headers() -> None:
    assert CACHING.encode(b"\4\0").hex() == "08020400"
    assert CONTROL_EXTENSION.encode(b"abc").hex() == "4a010003" + b"abc".hex()


def test_a_page_whose_mask_does_not_fit_is_a_defect() -> None:
    with pytest.raises(ValueError, match="2 default, 3 mask"):
        ModePage(0x08, 0, bytes(2), bytes(3))


@pytest.mark.parametrize(
    ("code", "subcode", "found"),
    [
        (0x3F, 0x00, [CACHING, CONTROL]),
        (0x3F, 0xFF, [CACHING, CONTROL, CONTROL_EXTENSION]),
        (0x0A, 0x00, [CONTROL]),
        (0x0A, 0x01, [CONTROL_EXTENSION]),
        (0x0A, 0xFF, [CONTROL, CONTROL_EXTENSION]),
        (0x08, 0xFF, [CACHING]),
        (0x08, 0x01, []),
        (0x1C, 0x00, []),
    ],
)
def test_which_pages_a_mode_sense_asks_for(code: int, subcode: int, found: list[ModePage]) -> None:
    assert selected(PAGES, code, subcode) == found


def test_block_descriptors() -> None:
    assert short_blocks.hex() == "0000010000000200"
    assert long_blocks.hex() == "0000010000000000" + "00000000" + "00001000"
    assert block_descriptor(1 << 33, 512, long=False)[:4].hex() == "ffffffff"


def test_the_6_byte_header() -> None:
    data = parameter_data(short_blocks, b"page", ten=False, device_specific=0x90)
    assert data[:4].hex() == "0f009008"
    assert data[4:] == short_blocks + b"page"


def test_the_10_byte_header() -> None:
    data = parameter_data(long_blocks, b"page", ten=True, device_specific=0x10, long=True)
    assert data[:8].hex() == "001a001001000010"
    assert data[8:] == long_blocks + b"page"


def test_an_empty_answer_counts_the_rest_of_its_header() -> None:
    assert parameter_data(b"", b"", ten=False, device_specific=0).hex() == "03000000"
    assert parameter_data(b"", b"", ten=True, device_specific=0).hex() == "0006000000000000"


def test_the_length_of_a_6_byte_header_stops_at_255() -> None:
    assert parameter_data(b"", bytes(300), ten=False, device_specific=0)[0] == 0xFF


@pytest.mark.parametrize("ten", [False, True])
def test_what_mode_sense_says_mode_select_understands(ten: bool) -> None:
    pages = CACHING.encode(b"\4\0") + CONTROL_EXTENSION.encode(b"abc")
    data = parameter_data(short_blocks, pages, ten=ten, device_specific=0)
    at = (8 if ten else 4) + 8
    parsed = parse_parameter_list(data, ten=ten)
    assert parsed.descriptor == short_blocks
    assert parsed.pages == (
        SelectedPage(0x08, 0, b"\4\0", at + 2),
        SelectedPage(0x0A, 1, b"abc", at + 4 + 4),
    )


def test_a_long_descriptor_is_understood() -> None:
    parsed = parse_parameter_list(parameter_data(long_blocks, b"", ten=True, device_specific=0, long=True), ten=True)
    assert parsed.long
    assert parsed.descriptor == long_blocks
    assert parsed.descriptor_at == 8


@pytest.mark.parametrize("ten", [False, True])
def test_every_truncation_is_a_length_error_or_a_shorter_list(ten: bool) -> None:
    pages = CACHING.encode(b"\4\0") + CONTROL_EXTENSION.encode(b"abc")
    data = parameter_data(short_blocks, pages, ten=ten, device_specific=0)
    header = (8 if ten else 4) + 8
    for end in range(len(data)):
        if end in (header, header + 4):
            assert len(parse_parameter_list(data[:end], ten=ten).pages) == (end - header) // 4
            continue
        with pytest.raises(ParameterError) as caught:
            parse_parameter_list(data[:end], ten=ten)
        assert caught.value.truncated


@pytest.mark.parametrize(
    ("ten", "data", "byte", "bit"),
    [
        (False, "00000007" + "00" * 7, 3, None),
        (False, "00000010" + "00" * 16, 3, None),
        (True, "0000000001000008" + "00" * 8, 6, None),
        (True, "0000000000000010" + "00" * 16, 6, None),
        (False, "00000000" + "88020400", 4, 7),
        (False, "00000000" + "08020400" + "8a020000", 8, 7),
        (False, "00000000" + "4a0000020000", 4, 6),
    ],
)
def test_what_is_wrong_is_pointed_at(ten: bool, data: str, byte: int, bit: int | None) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_parameter_list(bytes.fromhex(data), ten=ten)
    assert (caught.value.byte, caught.value.bit, caught.value.truncated) == (byte, bit, False)


@given(st.binary(max_size=64), st.booleans())
def test_only_parameter_errors_come_out(data: bytes, ten: bool) -> None:
    try:
        parsed = parse_parameter_list(data, ten=ten)
    except ParameterError as error:
        assert 0 <= error.byte <= len(data)
    else:
        used = sum(len(page.values) + (4 if page.subcode else 2) for page in parsed.pages)
        assert (8 if ten else 4) + len(parsed.descriptor) + used == len(data)


def test_bits_that_may_change_change() -> None:
    change = SelectedPage(0x08, 0, b"\0\0", 6)
    assert check_changes(CACHING, CACHING.default, change) == b"\0\0"


@pytest.mark.parametrize(
    ("values", "byte", "bit"), [("0500", 6, 0), ("8400", 6, 7), ("0401", 7, 0), ("04c0", 7, 7), ("0c80", 6, 3)]
)
def test_the_first_bit_that_may_not_change_is_pointed_at(values: str, byte: int, bit: int) -> None:
    with pytest.raises(ParameterError) as caught:
        check_changes(CACHING, CACHING.default, SelectedPage(0x08, 0, bytes.fromhex(values), 6))
    assert (caught.value.byte, caught.value.bit) == (byte, bit)


@pytest.mark.parametrize(("page", "at", "length_at"), [(CACHING, 6, 5), (CONTROL_EXTENSION, 8, 6)])
def test_a_page_of_another_length_is_refused_at_its_length_field(page: ModePage, at: int, length_at: int) -> None:
    with pytest.raises(ParameterError, match=f"expected {len(page.default)}") as caught:
        check_changes(page, page.default, SelectedPage(page.code, page.subcode, bytes(9), at))
    assert caught.value.byte == length_at
