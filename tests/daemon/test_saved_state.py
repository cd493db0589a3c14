"""What a logical unit remembers over a restart."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tgtcore.daemon.saved_state import SavedState

ID = bytes(range(16))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    SavedState(tmp_path, ID).save({"generation": 3})
    assert SavedState(tmp_path, ID).load() == {"generation": 3}
    assert SavedState(tmp_path, bytes(16)).load() == {}
    (saved,) = (tmp_path / "reservations").iterdir()
    assert saved.stat().st_mode & 0o777 == 0o600


def test_saving_nothing_removes_the_file(tmp_path: Path) -> None:
    state = SavedState(tmp_path, ID)
    state.save({"generation": 3})
    state.save({})
    state.save({})
    assert state.load() == {}
    assert list((tmp_path / "reservations").iterdir()) == []


def test_what_was_removed_does_not_come_back_with_the_power(tmp_path: Path, mocker: MockerFixture) -> None:
    state = SavedState(tmp_path, ID)
    state.save({"generation": 3})
    synced: list[str] = []
    mocker.patch("os.fsync", side_effect=lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    state.save({})
    assert synced == [str(tmp_path / "reservations")]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"version": 9, "state": {}}', b'{"version": 1, "state": []}', b"\xff"]
)
def test_damaged_reservations_are_an_error_and_not_forgotten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reservations" / f"{ID.hex()}.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(OSError, match="saved reservations can't be read"):
        SavedState(tmp_path, ID).load()
