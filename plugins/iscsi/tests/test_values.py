"""Values of text keys, right and wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.values import (
    format_base64,
    format_boolean,
    format_hex,
    parse_binary,
    parse_boolean,
    parse_list,
    parse_number,
)


@given(value=st.integers(0, 2**64 - 1))
def test_numbers_round_trip(value: int) -> None:
    assert parse_number(str(value)) == parse_number(hex(value)) == parse_number(f"0X{value:X}") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "007",
        "00",
        "0x",
        "0b",
        "0xg",
        "1.0",
        "1e3",
        "18446744073709551616",
        "0x1" + "0" * 16,
        "9" * 8000,
        "٣",
        "1\n",
        "Yes",
        "1~2",
    ],
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        parse_number(text)


def test_booleans() -> None:
    assert [parse_boolean(format_boolean(value)) for value in (True, False)] == [True, False]
    for text in ("yes", "", "1", "true", "Yes\n"):
        with pytest.raises(ValueError, match="neither Yes nor No"):
            parse_boolean(text)


def test_lists() -> None:
    assert parse_list("CRC32C,None") == ("CRC32C", "None")
    assert len(parse_list(",".join(["a"] * 64))) == 64
    with pytest.raises(ValueError, match="more than 64"):
        parse_list(",".join(["a"] * 10_000))
    for text in ("", "a,", ",a", "a,,b", "a" * 256):
        with pytest.raises(ValueError, match="empty or too long"):
            parse_list(text)


@given(value=st.binary(min_size=1, max_size=1024))
def test_binary_round_trips_in_both_forms(value: bytes) -> None:
    assert parse_binary(format_hex(value)) == parse_binary(format_base64(value)) == value
    assert parse_binary(format_hex(value).upper().replace("0X", "0x")) == value


@pytest.mark.parametrize(
    "text", ["", "0x", "0X", "0b", "0x1", "0xabc", "0xzz", "0b=", "0bA", "0bAAAAA", "0bAA=A", "0b A==", "12", "abcd"]
)
def test_what_is_no_binary_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither 0x|impossible length"):
        parse_binary(text)
