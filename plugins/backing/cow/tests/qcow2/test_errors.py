import pytest
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError, printable
from tgtcore_cow.qcow2.image import Image

from tgtcore.testing.ram import RamStore


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("golden.qcow2", "golden.qcow2"),
        ("häßlich 画", "häßlich 画"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\nb"),
        (b"\xff".decode("utf-8", "surrogateescape"), "\\udcff"),
        ("\u202egnp", "\\u202egnp"),
    ],
)
def test_what_could_harm_a_reader_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize("keys", [{"backing_file": "\x1b[2J", "backing_format": "raw"}, {"data_file": "\x1b[2J"}])
def test_names_from_images_are_escaped_in_messages(keys: dict[str, str]) -> None:
    file = RamStore()
    create(file, CreateOptions(1 << 20, **keys), RamStore() if "data_file" in keys else None)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r'"\\x1b\[2J", which was not opened$'):
        Image(file)
