"""Lines of keys: the scanner agrees with tomllib on what is there."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.config.positions import Place, Positions, describe
from tgtcore.config.writer import to_toml

TEXT = '''plugins = ["iscsi",
  "disk"]  # [not.a.table]
[daemon]
socket = """a
b"""
note = '[x]'

[logical_units.a]
store = { type = "file", path = "x#y]" }
[targets."iqn.a:b"]
luns = { 0 = "a", "1" = "b" }
allow.initiators = ["*"]
[[targets."iqn.a:b".private_luns]]
luns = {}
[[targets."iqn.a:b".private_luns]]
initiators = [
  "a",
  "b" ]
'''

LINES: list[tuple[Place, int]] = [
    (("plugins", 1), 2),
    (("daemon",), 3),
    (("daemon", "socket"), 4),
    (("daemon", "note"), 6),
    (("logical_units", "a", "store", "path"), 9),
    (("targets", "iqn.a:b", "luns", "1"), 11),
    (("targets", "iqn.a:b", "allow", "initiators", 0), 12),
    (("targets", "iqn.a:b", "private_luns", 0, "luns"), 14),
    (("targets", "iqn.a:b", "private_luns", 1), 15),
    (("targets", "iqn.a:b", "private_luns", 1, "initiators", 1), 18),
]


@pytest.mark.parametrize(("place", "line"), LINES, ids=[describe(place) for place, _ in LINES])
def test_a_key_is_found_on_its_line(place: Place, line: int) -> None:
    tomllib.loads(TEXT)
    assert Positions(TEXT).line(place) == line


def test_a_missing_key_gets_the_line_of_the_table_around_it() -> None:
    assert Positions(TEXT).line(("logical_units", "a", "store", "nothing", "at", "all")) == 9
    assert Positions(TEXT).line(("nothing",)) == 1


def test_places_are_written_as_in_toml() -> None:
    assert describe(("targets", "iqn.a:b", "luns", 0, "x_y")) == 'targets."iqn.a:b".luns[0].x_y'
    assert describe(('a"b',)) == '"a\\"b"'


_keys = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=32), max_size=6)
_values = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)


_tables = st.dictionaries(_keys, st.dictionaries(_keys, _values))


@given(st.dictionaries(st.sampled_from(["accounts", "targets"]), _tables, min_size=1))
def test_every_key_of_any_document_has_a_line(document: dict[str, Any]) -> None:
    text = to_toml(document)
    positions = Positions(text)
    lines = text.split("\n")
    for name, entries in document.items():
        for key, entry in entries.items():
            for inner in entry:
                line = positions.line((name, key, inner))
                assert "=" in lines[line - 1], (text, name, key, inner)
