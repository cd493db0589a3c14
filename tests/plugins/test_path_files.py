"""Path configuration files that come while the interpreter runs."""

import os
import sys
from pathlib import Path

import pytest

from tgtcore.plugins.path_files import PathFiles


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr("site.getsitepackages", lambda: [str(folder)])
    monkeypatch.setattr("site.ENABLE_USER_SITE", False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def test_new_ones_are_read_as_at_a_start(packages: Path, tmp_path: Path) -> None:
    (packages / "old.pth").write_text(f"{tmp_path}/old\nimport sys; sys.path.append('executed')\n")
    files = PathFiles()
    for name in ("old", "new", "line"):
        (tmp_path / name).mkdir()
    (packages / "new.pth").write_text(f"# editable\n{tmp_path}/new\n{tmp_path}/missing\n")
    (packages / "lines.pth").write_text(f"import sys; sys.path.append({str(tmp_path / 'line')!r})\n")
    before = list(sys.path)
    files.read_new()
    added = [path for path in sys.path if path not in before]
    assert added == [str(tmp_path / "line"), str(tmp_path / "new")]
    files.read_new()
    assert [path for path in sys.path if path not in before] == added


def test_one_that_has_changed_is_read_again(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    (packages / "a.pth").write_text(f"{tmp_path}/before\n")
    files = PathFiles()
    (packages / "a.pth").write_text(f"{tmp_path}/moved\n")
    os.utime(packages / "a.pth", (1, 1))
    files.read_new()
    assert str(tmp_path / "moved") in sys.path


def test_a_folder_that_is_not_there_has_none(packages: Path) -> None:
    packages.rmdir()
    before = list(sys.path)
    PathFiles().read_new()
    assert sys.path == before
