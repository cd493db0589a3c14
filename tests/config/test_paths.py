"""Relative paths count from the folder of the file."""

from pathlib import Path

from tgtcore.config.paths import absolute, paths_of
from tgtcore.options import Options


class Some(Options):
    path: Path
    other: Path | None = None
    text: str = ""


def test_keys_that_are_paths_become_absolute() -> None:
    table = {"path": "disk.img", "other": "/srv/x", "text": "disk.img"}
    assert absolute(Some, table, Path("/base")) == {"path": "/base/disk.img", "other": "/srv/x", "text": "disk.img"}
    assert table["path"] == "disk.img"


def test_values_that_are_no_paths_are_left_to_the_model() -> None:
    assert absolute(Some, {"path": 3, "other": ""}, Path("/base")) == {"path": 3, "other": ""}
    assert absolute(Some, [1], Path("/base")) == [1]


def test_the_paths_of_options_are_found() -> None:
    assert list(paths_of(Some(path=Path("/a"), text="/b"))) == [Path("/a")]


def test_the_home_of_nobody_is_left_as_it_is() -> None:
    assert absolute(Some, {"path": "~no-such-user/x"}, Path("/base")) == {"path": "/base/~no-such-user/x"}
