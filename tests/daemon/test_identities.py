"""Unique ids are made once and stay."""

import json
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tgtcore.daemon.identities import FILE, Identities
from tgtcore.errors import ConfigError


def test_an_id_stays_the_same_over_restarts(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    identities = Identities(folder)
    first = identities.get("a")
    identities.keep()
    again = Identities(folder)
    assert again.get("a") == first
    assert again.get("b") != first
    assert len(first) == 16


def test_the_file_is_private(tmp_path: Path) -> None:
    identities = Identities(tmp_path / "state")
    identities.get("a")
    identities.keep()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_before_there_is_something_to_keep(tmp_path: Path) -> None:
    identities = Identities(tmp_path / "state")
    identities.keep()
    given = identities.get("a")
    assert identities.get("a") == given
    assert not (tmp_path / "state").exists()
    identities.forget()
    assert identities.get("a") != given


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({"version": 2, "logical_units": {}}),
        json.dumps({"version": 1, "logical_units": {"a": "x"}}),
    ],
)
def test_a_damaged_file_is_an_error_and_not_a_new_id(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ConfigError, match=r"identities.json: the identities of logical units can't be read"):
        Identities(tmp_path)
    assert (tmp_path / FILE).read_text() == content


def test_ids_that_can_not_be_remembered_are_an_error(tmp_path: Path, mocker: MockerFixture) -> None:
    identities = Identities(tmp_path)
    mocker.patch("os.replace", side_effect=OSError(30, "Read-only file system"))
    identities.get("a")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"read-only file system; give each logical unit \(a\) a unique_id"):
            identities.keep()
