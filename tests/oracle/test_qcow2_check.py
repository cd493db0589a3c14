"""Checks and repairs of images, judged by QEMU."""

import json
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from oracle.qcow2_images import RECIPES, Damage, run
from tgtcore_cow.files import HostFile
from tgtcore_cow.qcow2 import snapshot_table
from tgtcore_cow.qcow2.check import Report, check
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.image import read_header
from tgtcore_cow.qcow2.repair import Repaired, repair

SEEDS = 8
_SNAPSHOT = struct.Struct(">QIHHIIQII")
STRICTER = ("is marked as used once, but has no place", "has reserved bits")
"""What the specification forbids and QEMU's check lets pass: that mark without a place, and bit 0 of extended entries."""


@contextmanager
def _opened(path: Path) -> Iterator[HostFile]:
    file = HostFile(path)
    try:
        yield file
    finally:
        file.close()


def _checked(path: Path) -> Report:
    with _opened(path) as file:
        return check(file)


def _repaired(path: Path, what: Any = "all") -> Repaired:
    with _opened(path) as file:
        return repair(file, what)


def _damaged(path: Path, random: Random, *kinds: Callable[[Damage], None]) -> None:
    with _opened(path) as file:
        damage = Damage(file, random)
        for kind in kinds:
            kind(damage)


def _by_qemu(path: Path) -> dict[str, int] | None:
    """What ``qemu-img check`` counts; None if it can't open the image."""
    done = subprocess.run(
        ["qemu-img", "check", "--output=json", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=path.parent,
    )
    if done.returncode == 1:
        return None
    found = json.loads(done.stdout)
    names = "corruptions leaks check-errors allocated-clusters compressed-clusters total-clusters image-end-offset"
    return {name: found.get(name, 0) for name in names.split()}


@pytest.fixture(scope="module", params=RECIPES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RECIPES[request.param].make(tmp_path_factory.mktemp("images"))


@pytest.fixture
def image(made: Path) -> Path:
    """A copy, beside what it refers to."""
    copy = made.parent / "copy.qcow2"
    shutil.copyfile(made, copy)
    return copy


def test_a_sound_image_is_clean_and_counted_alike(made: Path) -> None:
    report, theirs = _checked(made), _by_qemu(made)
    assert report.clean
    assert theirs == {
        "corruptions": 0,
        "leaks": 0,
        "check-errors": 0,
        "allocated-clusters": report.allocated_clusters,
        "compressed-clusters": report.compressed_clusters,
        "total-clusters": report.total_clusters,
        "image-end-offset": report.image_end_offset,
    }


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damage_is_judged_alike_and_repaired(image: Path, seed: int) -> None:
    random = Random(seed)
    _damaged(image, random, *random.choices(Damage.ALL, k=random.choice([1, 1, 2])))
    theirs = _by_qemu(image)
    if theirs is None:
        with pytest.raises(ImageError):
            _checked(image)
        return
    report = _checked(image)
    stricter = [error for error in report.errors if any(words in str(error) for words in STRICTER)]
    errors = theirs["corruptions"] + theirs["check-errors"]
    assert bool(errors) == bool(report.error_count) or len(stricter) == report.error_count, report
    if not errors:
        assert theirs["leaks"] == report.leak_count
    after = _repaired(image).after
    if any("more than counts of this image can say" in str(error) for error in after.errors):
        return
    assert after.clean, after
    _assert_clean(image)


def _assert_clean(image: Path) -> None:
    theirs = _by_qemu(image)
    assert theirs is not None
    assert not theirs["corruptions"] + theirs["leaks"] + theirs["check-errors"], theirs


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_repaired_has_the_disk_and_the_snapshots_that_it_had(made: Path, image: Path, seed: int) -> None:
    random = Random(seed)
    _damaged(image, random, *random.choices(Damage.HARMLESS, k=3))
    repaired = _repaired(image)
    assert repaired.after.clean
    _assert_clean(image)
    run(image.parent, "qemu-img", "compare", made, image)
    with _opened(image) as file:
        snapshots = read_header(file).snapshots
    for number in range(snapshots):
        for path in (made, image):
            name = f"snapshot.name=state {number}"
            run(path.parent, "qemu-img", "convert", "-l", name, "-O", "raw", path, f"{path.stem}.raw")
        assert (made.parent / "made.raw").read_bytes() == (made.parent / "copy.raw").read_bytes()


@pytest.mark.parametrize("seed", range(SEEDS // 3))
def test_leaks_alone_are_counted_alike_and_freed(made: Path, image: Path, seed: int) -> None:
    _damaged(image, Random(seed), *[Damage.leak] * 5)
    theirs, report = _by_qemu(image), _checked(image)
    assert theirs is not None
    assert (theirs["corruptions"], theirs["leaks"]) == (report.error_count, report.leak_count)
    assert not report.error_count
    assert report.leak_count
    assert _repaired(image, "leaks").after.clean
    _assert_clean(image)
    run(image.parent, "qemu-img", "compare", made, image)


def test_a_snapshot_table_of_a_former_version_2_is_completed(tmp_path: Path) -> None:
    path = RECIPES["version 2"].make(tmp_path)
    with _opened(path) as file:
        header = read_header(file)
        table = b""
        for snapshot in snapshot_table.read(file, header)[0]:
            fields = list(_SNAPSHOT.unpack_from(snapshot.encode()))
            names = snapshot.id.encode() + snapshot.name.encode()
            table += (_SNAPSHOT.pack(*fields[:-1], 0) + names).ljust(-(-(40 + len(names)) // 8) * 8, b"\0")
        file.write(header.snapshots_offset, table.ljust(512, b"\0"))
    assert _checked(path).clean
    _assert_clean(path)
    version_3 = replace(header, version=3)
    with _opened(path) as file:
        file.write(0, version_3.encode())
    theirs, report = _by_qemu(path), _checked(path)
    assert theirs is not None
    assert theirs["corruptions"] == header.snapshots, "one for each entry"
    assert report.error_count == 1, "one for the table"
    assert _repaired(path).after.clean
    _assert_clean(path)


def test_lazy_counts_are_made_after_a_crash(tmp_path: Path) -> None:
    path = RECIPES["lazy refcounts"].make(tmp_path)
    crashed = subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write -P 5 0 20M", "-c", "flush", "-c", "abort", path],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert crashed.returncode < 0
    repaired = _repaired(path)
    assert repaired.before.dirty
    assert repaired.before.error_count
    assert repaired.after.clean
    assert not repaired.after.dirty
    _assert_clean(path)
    printed = run(tmp_path, "qemu-io", "-f", "qcow2", "-c", "read -P 5 0 20M", path)
    assert "failed" not in printed
