"""The filter ``crash`` beneath an image: what was flushed through the disk is there, the rest may be, and the image is sound."""

from pathlib import Path
from random import Random

import pytest
from cow import qemu_tools
from cow.bases import Base
from cow.history import History
from cow.operations import CLEARS, WRITES, Worker, random_spot
from tgtcore_cow.options import Qcow2Options
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2_format import Qcow2
from tgtcore_filters.storage.crash import Crash, CrashOptions
from tgtcore_filters.storage.power_cut import Cut

pytestmark = pytest.mark.alike

_KINDS = {
    "small clusters": Qcow2Options(create=True, size=96 << 10, cluster_size=512),
    "subclusters": Qcow2Options(create=True, size=256 << 10, cluster_size=16 << 10, extended_l2=True),
}
_CRASHES, _OPERATIONS, _SNAPSHOTS_MAX = 5, 9, 3
_WEIGHTS = {"write": 10, "clear": 3, "flush": 2, "snapshot": 2, "revert": 1, "resize": 1}


class _Outlet:
    """An image on a filter on memory, from which the power may be cut."""

    def __init__(self, options: Qcow2Options, seed: int) -> None:
        self.chance = Random(seed)
        self.medium = Base()
        self.medium.resize(512)
        self.filter = Crash(self.medium, CrashOptions.model_validate({}))
        image = Qcow2(self.filter, options)
        self.worker = Worker(image, History(bytearray(image.size_bytes)), self.chance)

    def work(self) -> None:
        """Do some of everything that is done to a disk."""
        for name in self.chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=_OPERATIONS):
            getattr(self, f"_{name}")()

    def _write(self) -> None:
        self.worker.write(random_spot(self.chance), self.chance.choice(WRITES))

    def _clear(self) -> None:
        self.worker.clear(random_spot(self.chance), self.chance.choice(list(CLEARS)))

    def _flush(self) -> None:
        self.worker.flush()

    def _snapshot(self) -> None:
        names = list(self.worker.history.snapshots)
        if len(names) == _SNAPSHOTS_MAX:
            self.worker.delete_snapshot(self.chance.choice(names))
        else:
            self.worker.create_snapshot(f"snapshot {self.chance.random()}")

    def _revert(self) -> None:
        if self.worker.history.snapshots:
            self.worker.revert(self.chance.choice(list(self.worker.history.snapshots)))

    def _resize(self) -> None:
        self.worker.resize(self.worker.image.size_bytes + self.chance.randrange(1, 9) * 512)

    def cut(self, keep: str) -> None:
        """Cut the power, and look at what the image makes of that."""
        self.filter.crash(Cut(keep=keep, seed=self.chance.randrange(1 << 32)))  # type: ignore[arg-type]
        self.worker.image.base_changed()
        found = check(self.medium)
        assert not found.error_count, found.errors
        self.worker.history.found(bytes(self.worker.image.read(0, self.worker.image.size_bytes)), bytewise=True)
        self.worker.assert_content()


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("keep", ["none", "some"])
@pytest.mark.parametrize("seed", range(2))
def test_what_was_flushed_outlives_a_power_cut_beneath_the_image(kind: str, keep: str, seed: int) -> None:
    outlet = _Outlet(_KINDS[kind], seed)
    for _ in range(_CRASHES):
        outlet.work()
        outlet.cut(keep)
    snapshots = list(outlet.worker.history.snapshots)
    for name in snapshots:
        assert outlet.worker.revert(name)
        outlet.worker.assert_content()


@pytest.mark.oracle
@pytest.mark.parametrize("kind", _KINDS)
def test_qemu_finds_the_image_sound_after_each_power_cut(kind: str, tmp_path: Path) -> None:
    outlet = _Outlet(_KINDS[kind], 7)
    image, expected = tmp_path / "image.qcow2", tmp_path / "expected.raw"
    leaks = 0
    for _ in range(4 * _CRASHES):
        outlet.work()
        outlet.cut("some")
        image.write_bytes(outlet.medium.content)
        expected.write_bytes(outlet.worker.history.content)
        found = qemu_tools.check(image)
        assert not found.errors, found.told
        leaks += found.leaks
        qemu_tools.assert_same(image, expected)
    assert leaks, "no power cut has cost anything, so they may not have been any"
