"""What is written reads back as the same."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tgtcore.config import make_folder, to_toml, write_atomically, writer

DOCUMENT: dict[str, Any] = {
    "plugins": ["iscsi", "disk"],
    "daemon": {"drain_s": 3},
    "transports": {"iscsi": {"portals": [{"address": "[::1]:3260"}]}},
    "logical_units": {"a": {"device_type": "disk", "store": {"type": "cow", "base": {"type": "file", "path": 'x"y'}}}},
    "targets": {"iqn.2025-01.example:a": {"luns": {"0": "a"}, "private_luns": [{"initiators": ["*"], "luns": {}}]}},
}


def test_a_document_reads_back_as_it_was() -> None:
    assert tomllib.loads(to_toml(DOCUMENT)) == DOCUMENT


def test_keys_without_a_value_are_left_out() -> None:
    assert tomllib.loads(to_toml({"plugins": [], "daemon": {"socket": None, "drain_s": 1}})) == {
        "plugins": [],
        "daemon": {"drain_s": 1},
    }


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"old")
    write_atomically(path, b"new", 0o600)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.toml"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_content_alone(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"old")
    mocker.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new", 0o600)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.toml"]


def test_folders_are_made_so_that_they_stay(tmp_path: Path, mocker: MockerFixture) -> None:
    synced = mocker.spy(writer, "sync_folder")
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert [call.args[0] for call in synced.call_args_list] == [tmp_path, tmp_path / "a"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_nobody_can_lead_a_write_elsewhere(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("secrets.token_hex", return_value="guessed")
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / ".c.toml.guessed").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "c.toml", b"new", 0o600)
    assert (tmp_path / "precious").read_bytes() == b"precious"
