"""Reading configuration files."""

from pathlib import Path

import pytest

from tgtcore.config import parse, read
from tgtcore.errors import ConfigError
from tgtcore.limits import CONFIG_BYTES_MAX


def test_a_file_is_read_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("plugins = []\r\n[daemon]\r\n")
    source = read(path)
    assert (source.document, source.base, source.name) == ({"plugins": [], "daemon": {}}, tmp_path, str(path))


def test_another_reader_is_asked_first(tmp_path: Path) -> None:
    path = tmp_path / "c.ini"
    path.write_text("not toml")
    assert read(path, lambda path: {"plugins": [path.suffix]}).document == {"plugins": [".ini"]}
    with pytest.raises(ConfigError, match=r"not TOML"):
        read(path)


BROKEN = {
    "no TOML": (
        b"a = 1\nb ==\n",
        r'^c.toml:2: not TOML: expected a value, such as "text", 5, true or .* \(column 4\)$',
    ),
    "text without quotes": (b"a = disk\n", r'^c.toml:1: not TOML: expected a value, such as "text"'),
    "a key without a value": (b"= 1\n", r"^c.toml:1: not TOML: expected KEY = VALUE or \[TABLE\]"),
    "a key twice": (b"a = 1\na = 2\n", r"^c.toml:2: not TOML: this key is there already"),
    "a table twice": (b'[a."b.c"]\n[a."b.c"]\n', r'^c.toml:2: not TOML: the table a."b.c" is there already'),
    "an open list": (b"a = [\n1\n\n", r"^c.toml:2: not TOML: unclosed array"),
    "an open string": (b'a = "x', r"^c.toml:1: not TOML: unterminated string \(the text ends\)$"),
    "no text": (b"a = 1\nb = '\xff'\n", r"^c.toml:2: byte FFh is not UTF-8"),
    "nested too deeply": (b"a = " + b"[" * 100_000, r"^c.toml: the values are nested too deeply"),
    "a key of 20 000 parts": (
        b"a = 1\nb" + b".b" * 19_999 + b" = 1\n",
        r"^c.toml:2: a key of 20000 parts, .* at most 16$",
    ),
    "a number of 5000 digits": (b"a = " + b"1" * 5000, r"^c.toml: not TOML: .*digits"),
    "too long": (b"#" * (CONFIG_BYTES_MAX + 1), r"^c.toml: 8388609 bytes are too long"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_explained(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(data, Path("/"), "c.toml")


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing.toml: no such file or directory"):
        read(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match=r"expected a configuration file"):
        read(tmp_path)
