"""Committing and rebasing images as qemu-img does it: what ours leave is what its leave."""

import shutil
from pathlib import Path

import pytest
from cow import qemu_tools
from tgtcore_cow import Qcow2Image

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

_MIB = 1 << 20
_OPTIONS = [
    {},
    {"extended_l2": "on"},
    {"cluster_size": 512},
    {"cluster_size": "2M"},
    {"compat": "0.10"},
    {"refcount_bits": 1, "lazy_refcounts": "on"},
    {"cluster_size": 4096, "compression_type": "zstd"},
]


def _made(folder: Path, backing_format: str, base_bytes: int, options: dict[str, object]) -> None:
    """``top`` on ``base``, and ``other``."""
    folder.mkdir()
    for name, size_bytes, pattern in (("base", base_bytes, 17), ("other", 3 * _MIB, 34)):
        qemu_tools.run("qemu-img", "create", "-q", "-f", backing_format, folder / name, size_bytes)
        qemu_tools.run("qemu-io", "-f", backing_format, "-c", f"write -P {pattern} 100k 1M", folder / name)
    qemu_tools.create(folder / "top", 4 * _MIB, backing=Path("base"), backing_format=backing_format, **options)
    commands = ["write -P 1 300k 500k", "write -P 2 3M 7k"]
    commands += [] if "compat" in options else ["write -z 900k 200k"]
    qemu_tools.io(folder / "top", *commands)


def _both(tmp_path: Path, *made: object) -> tuple[Path, Path]:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    _made(ours, *made)  # type: ignore[arg-type]
    shutil.copytree(ours, theirs)
    return ours, theirs


def _assert_same(ours: Path, theirs: Path, backing_format: str) -> None:
    qemu_tools.assert_clean(ours / "top")
    qemu_tools.assert_same(ours / "top", theirs / "top", formats=("qcow2", "qcow2"))
    for name in ("base", "other"):
        qemu_tools.assert_same(ours / name, theirs / name, formats=(backing_format, backing_format))
    said = [qemu_tools.info(folder / "top") for folder in (ours, theirs)]
    assert said[0].get("backing-filename") == said[1].get("backing-filename")
    assert said[0].get("backing-filename-format") == said[1].get("backing-filename-format")


@pytest.mark.parametrize("options", _OPTIONS, ids=str)
@pytest.mark.parametrize("backing_format", ["raw", "qcow2"])
@pytest.mark.parametrize("base_bytes", [2 * _MIB, 4 * _MIB, 5 * _MIB])
def test_a_commit_is_that_of_qemu(
    tmp_path: Path, backing_format: str, base_bytes: int, options: dict[str, object]
) -> None:
    ours, theirs = _both(tmp_path, backing_format, base_bytes, options)
    before = tmp_path / "before.raw"
    qemu_tools.convert(ours / "top", before)
    Qcow2Image.commit(ours / "top")
    qemu_tools.run("qemu-img", "commit", "-q", theirs / "top")
    _assert_same(ours, theirs, backing_format)
    qemu_tools.assert_same(ours / "top", before)
    assert [one["depth"] for one in qemu_tools.extents(ours / "top") if one["depth"] == 0 and one["data"]] == []


@pytest.mark.parametrize("options", _OPTIONS, ids=str)
@pytest.mark.parametrize("backing_format", ["raw", "qcow2"])
@pytest.mark.parametrize(("name", "unsafe"), [("other", False), ("", False), ("other", True), ("", True)])
def test_a_rebase_is_that_of_qemu(
    tmp_path: Path, backing_format: str, name: str, unsafe: bool, options: dict[str, object]
) -> None:
    ours, theirs = _both(tmp_path, backing_format, 4 * _MIB, options)
    before = tmp_path / "before.raw"
    qemu_tools.convert(ours / "top", before)
    Qcow2Image.rebase(ours / "top", name, backing_format if name else "", unsafe=unsafe)
    words = ["-u"] if unsafe else []
    qemu_tools.run(
        "qemu-img", "rebase", "-q", *words, "-b", name, *(["-F", backing_format] if name else []), theirs / "top"
    )
    _assert_same(ours, theirs, backing_format)
    if not unsafe:
        qemu_tools.assert_same(ours / "top", before)
