import pytest
from pydantic import TypeAdapter, ValidationError

from tgtcore.sizes import Size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1K", 1024),
        ("1k", 1024),
        ("512M", 512 << 20),
        ("1GiB", 1 << 30),
        ("1gb", 1 << 30),
        ("1.5T", 3 << 39),
        (" 2 P ", 2 << 50),
        ("1E", 1 << 60),
    ],
)
def test_units_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1 Q", "1e9", "10 G G", "0x10", "1,5G", "٣", "9" * 1000])
def test_what_is_not_a_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; expected .*512M"):
        parse_size(text)


def test_a_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'1\.3K' is not a whole number of bytes"):
        parse_size("1.3K")


def test_a_key_of_this_type_takes_numbers_and_text() -> None:
    adapter = TypeAdapter(Size)
    assert adapter.validate_python("1G") == adapter.validate_python(1 << 30) == 1 << 30


@pytest.mark.parametrize("value", [0, -512, "0", True, 1.5, None, "1Q", 1 << 63, "8E"])
def test_a_key_of_this_type_refuses_the_rest(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(value)
