"""The kit is judged: each careless keeper of snapshots must be caught by the test that is meant for it."""

from collections.abc import Callable, Generator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from support.keeping_file import KeepingFile, KeepingOptions

from tgtcore.store import SnapshotInfo, Store
from tgtcore.testing.ram import SnapshotRamStore
from tgtcore.testing.store import StoreConformance

_SIZE = 512 * 1024


class KeepsLiveMemory(SnapshotRamStore):
    def create_snapshot(self, name: str) -> SnapshotInfo:
        made = super().create_snapshot(name)
        self.snapshots[made] = self.content  # type: ignore[assignment]
        return made


class RevertsInPart(SnapshotRamStore):
    def revert_snapshot(self, id_or_name: str) -> None:
        self.content[: self.size_bytes // 2] = self.snapshots[self._find(id_or_name)][: self.size_bytes // 2]


class GivesTheSnapshotAway(SnapshotRamStore):
    def revert_snapshot(self, id_or_name: str) -> None:
        self.content = self.snapshots[self._find(id_or_name)]  # type: ignore[assignment]
        self.content = bytearray(self.content)
        del self.snapshots[self._find(id_or_name)]


class WritesIntoTheSnapshot(SnapshotRamStore):
    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.live: dict[SnapshotInfo, bytearray] = {}

    def create_snapshot(self, name: str) -> SnapshotInfo:
        made = super().create_snapshot(name)
        self.live[made] = bytearray(self.content)
        return made

    def revert_snapshot(self, id_or_name: str) -> None:
        self.content = self.live[self._find(id_or_name)]


class KnowsIdsOnly(SnapshotRamStore):
    def _find(self, id_or_name: str) -> SnapshotInfo:
        return super()._find(id_or_name if id_or_name.isdecimal() else "no name")


class ListsTheNewestFirst(SnapshotRamStore):
    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        return tuple(reversed(self.snapshots))


class DeletesTheOldest(SnapshotRamStore):
    def delete_snapshot(self, id_or_name: str) -> None:
        super().delete_snapshot(next(iter(self.snapshots)).id)


class RevertsWhenItDeletes(SnapshotRamStore):
    def delete_snapshot(self, id_or_name: str) -> None:
        self.revert_snapshot(id_or_name)
        super().delete_snapshot(id_or_name)


class TakesNamesTwice(SnapshotRamStore):
    def create_snapshot(self, name: str) -> SnapshotInfo:
        made = SnapshotInfo(str(len(self.snapshots)), name, len(self.snapshots), self.size_bytes)
        self.snapshots[made] = bytes(self.content)
        return made


class DeletesNothingInSilence(SnapshotRamStore):
    def delete_snapshot(self, id_or_name: str) -> None:
        self.snapshots.pop(next((one for one in self.snapshots if id_or_name in one[:2]), None), None)  # type: ignore[arg-type]


class KeepsTheSizeOfNow(SnapshotRamStore):
    def revert_snapshot(self, id_or_name: str) -> None:
        size_bytes = self.size_bytes
        super().revert_snapshot(id_or_name)
        self.resize(size_bytes)


class HasOneFromTheStart(SnapshotRamStore):
    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.create_snapshot("unasked for")


Kit = Callable[[StoreConformance, Any], None]
_BACK, _DELETES = (
    StoreConformance.test_a_snapshot_brings_back_exactly_what_was_there,
    StoreConformance.test_deleting_a_snapshot_changes_nothing_else,
)


def _by(test: Callable[..., None], attribute: str) -> Kit:
    return lambda kit, mirror: test(kit, mirror, attrgetter(attribute))


CAUGHT: list[tuple[type[SnapshotRamStore], Kit, str]] = [
    (KeepsLiveMemory, _by(_BACK, "id"), "byte .* expected"),
    (RevertsInPart, _by(_BACK, "id"), "byte .* expected"),
    (GivesTheSnapshotAway, _by(_BACK, "id"), "there is no snapshot"),
    (WritesIntoTheSnapshot, _by(_BACK, "id"), "byte .* expected"),
    (KnowsIdsOnly, _by(_BACK, "name"), "there is no snapshot"),
    (ListsTheNewestFirst, StoreConformance.test_snapshots_are_listed_with_what_they_are, "something else"),
    (HasOneFromTheStart, StoreConformance.test_snapshots_are_listed_with_what_they_are, "a new store has"),
    (DeletesTheOldest, _by(_DELETES, "id"), "there is no snapshot"),
    (RevertsWhenItDeletes, _by(_DELETES, "name"), "byte .* expected"),
    (TakesNamesTwice, StoreConformance.test_a_name_in_use_is_refused, "DID NOT RAISE"),
    (DeletesNothingInSilence, StoreConformance.test_what_is_not_there_is_refused, "DID NOT RAISE"),
    (KeepsTheSizeOfNow, StoreConformance.test_a_snapshot_brings_its_size_back, "size_bytes must tell"),
]


@pytest.mark.parametrize(("careless", "test", "message"), CAUGHT, ids=[case[0].__name__ for case in CAUGHT])
def test_a_careless_store_is_caught(careless: type[SnapshotRamStore], test: Kit, message: str, tmp_path: Path) -> None:
    kit = StoreConformance()
    kit.make_store = lambda folder: careless(_SIZE)  # type: ignore[method-assign]
    caught = (Exception, pytest.fail.Exception)
    with kit.opened(tmp_path) as mirror, pytest.raises(caught, match=message):
        test(kit, mirror)


def test_snapshots_that_are_lost_are_missed(tmp_path: Path) -> None:
    kept = SnapshotRamStore(_SIZE)

    class Forgets(SnapshotRamStore):
        persistent = True

        def __init__(self) -> None:
            super().__init__(_SIZE)
            self.content = kept.content

    kit = StoreConformance()
    kit.make_store = lambda folder: Forgets()  # type: ignore[method-assign]
    kit.persistent = True  # type: ignore[misc]
    with pytest.raises(AssertionError):
        kit.test_snapshots_outlive_the_store(tmp_path)


class Copies(KeepingFile):
    """Copies well; those below do not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(KeepingOptions(path=folder / "image", size=_SIZE))


class NamesTheHalf(Copies):
    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        path.touch()
        yield 1


class LeavesTheHalf(Copies):
    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        for done in super().clone_snapshot(id_or_name, path):
            path.with_suffix(".half").touch()
            yield done


class DeletesWhatIsCopied(Copies):
    def delete_snapshot(self, id_or_name: str) -> None:
        self._copied.clear()
        super().delete_snapshot(id_or_name)


class Overwrites(Copies):
    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        yield from super().clone_snapshot(id_or_name, path.with_name("aside"))
        path.with_name("aside").replace(path)


@pytest.mark.parametrize(
    ("careless", "message"),
    [
        (NamesTheHalf, "has its name before it is complete"),
        (LeavesTheHalf, "has left something behind"),
        (DeletesWhatIsCopied, "DID NOT RAISE"),
        (Overwrites, "DID NOT RAISE"),
    ],
)
def test_a_careless_copy_is_caught(careless: type[Copies], message: str, tmp_path: Path) -> None:
    kit = StoreConformance()
    kit.make_store = careless  # type: ignore[method-assign]
    with kit.opened(tmp_path) as mirror, pytest.raises((Exception, pytest.fail.Exception), match=message):
        kit.test_a_copy_of_a_snapshot_is_there_when_it_is_complete(mirror, tmp_path)


class TestKeepingFile(StoreConformance):
    """The one that daemons under test have is sound."""

    persistent = True

    def make_store(self, folder: Path) -> Store:
        return KeepingFile(KeepingOptions(path=folder / "image"))
