"""The distributions: one version, sound requirements, and nothing that an index would refuse."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/**/pyproject.toml") if ".venv" not in path.parts)]
PLUGINS = PROJECTS[1:]
LIBRARIES = [ROOT / "plugins/srp"]
"""What plugins share, and is no plugin itself."""


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())
    return found["project"]  # type: ignore[no-any-return]


CORE = project(ROOT)


def built(folder: Path, into: Path, *, release: bool) -> str:
    """The METADATA of a wheel."""
    environment = (
        {**os.environ, "TGTCORE_RELEASE": "1"}
        if release
        else {k: v for k, v in os.environ.items() if k != "TGTCORE_RELEASE"}
    )
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name).decode()


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_versions_are_in_step_and_plugins_want_this_core(folder: Path) -> None:
    assert project(folder)["version"] == CORE["version"]
    major, minor = (int(part) for part in CORE["version"].split(".")[:2])
    assert f"tgtcore>={major}.{minor},<{major}.{minor + 1}" in project(folder)["dependencies"]


@pytest.mark.parametrize("folder", [f for f in PLUGINS if f not in LIBRARIES], ids=lambda folder: folder.name)
def test_a_plugin_is_found_by_its_own_name(folder: Path) -> None:
    (entry,) = project(folder)["entry-points"]["tgtcore.plugins"].items()
    assert entry == (folder.name, f"tgtcore_{folder.name}")
    assert project(folder)["name"] == f"tgtcore-{folder.name}"
    assert (folder / "src" / f"tgtcore_{folder.name}" / "py.typed").is_file()


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_every_requirement_has_a_lower_bound(folder: Path) -> None:
    for requirement in project(folder)["dependencies"]:
        assert re.fullmatch(r"[a-z0-9.-]+>=[\d.]+(,<[\d.]+)?(; [^;]+)?", requirement), requirement


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_the_licence_and_the_interpreter_are_stated(folder: Path) -> None:
    assert project(folder)["license"] == "Apache-2.0"
    assert project(folder)["requires-python"] == ">=3.11"


def test_a_release_has_versions_where_a_checkout_has_folders(tmp_path: Path) -> None:
    release = built(ROOT, tmp_path / "release", release=True)
    checkout = built(ROOT, tmp_path / "checkout", release=False)
    assert " @ " not in release
    assert checkout.count(" @ file:///") == 2 * len(PLUGINS)
    for folder in PLUGINS:
        assert f"Requires-Dist: tgtcore-{folder.name}=={CORE['version']}; extra == 'all'" in release


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_s_wheel_names_no_folder(folder: Path, tmp_path: Path) -> None:
    assert " @ " not in built(folder, tmp_path, release=True)
