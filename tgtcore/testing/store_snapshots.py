"""The part of the conformance kit of stores that is about snapshots."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import pytest

from tgtcore.errors import StoreError
from tgtcore.store import Features, SnapshotInfo, Store
from tgtcore.testing.store_absent import offered
from tgtcore.testing.store_model import Mirror, check_same

_BY = pytest.mark.parametrize("key", [attrgetter("id"), attrgetter("name")], ids=["by its id", "by its name"])
_Key = Callable[[SnapshotInfo], str]


def _kept(mirror: Mirror) -> bool:
    """Whether there is anything to test: where no snapshots are kept, the core has no operation for them either."""
    return Features.SNAPSHOTS in mirror.store.features()


class SnapshotConformance:
    """Tests that every store passes, whether or not it keeps snapshots."""

    persistent: ClassVar[bool]
    resizes: ClassVar[bool]
    opened: Callable[..., AbstractContextManager[Mirror]]

    @_BY
    def test_a_snapshot_brings_back_exactly_what_was_there(self, mirror: Mirror, key: _Key) -> None:
        """However often, and whatever was written, cleared or flushed since."""
        if not _kept(mirror):
            return
        store = mirror.store
        for _ in range(2):
            _write_parts(mirror)
            kept = bytes(mirror.content)
            made = store.create_snapshot(f"after {len(list(store.list_snapshots()))}")
            mirror.check()
            for _ in range(2):
                _write_parts(mirror)
                if Features.UNMAP in store.features():
                    mirror.clear(0, store.size_bytes // 2 // store.block_bytes * store.block_bytes, "unmap")
                store.flush()
                mirror.check()
                store.revert_snapshot(key(made))
                mirror.content[:] = kept
                mirror.check()

    def test_snapshots_are_listed_with_what_they_are(self, mirror: Mirror) -> None:
        """The oldest first; each has the size of its time."""
        if not _kept(mirror):
            return
        store = mirror.store
        assert list(store.list_snapshots()) == [], "a new store has snapshots"
        made = [store.create_snapshot(name) for name in ("one", "another", "a third: .,-_ 3")]
        assert list(store.list_snapshots()) == made, "list_snapshots tells something else than create_snapshot did"
        assert [one.name for one in made] == ["one", "another", "a third: .,-_ 3"]
        assert len({one.id for one in made}) == 3, "two snapshots have the same id"
        assert [one.created_ns for one in made] == sorted(one.created_ns for one in made)
        assert {one.size_bytes for one in made} == {store.size_bytes}

    @_BY
    def test_deleting_a_snapshot_changes_nothing_else(self, mirror: Mirror, key: _Key) -> None:
        """The others bring back what they hold, whichever goes first."""
        if not _kept(mirror):
            return
        store = mirror.store
        made: list[tuple[SnapshotInfo, bytes]] = []
        for number in range(3):
            _write_parts(mirror)
            made.append((store.create_snapshot(f"number {number}"), bytes(mirror.content)))
        _write_parts(mirror)
        store.delete_snapshot(key(made[1][0]))
        mirror.check()
        for snapshot, content in (made[0], made[2]):
            store.revert_snapshot(key(snapshot))
            mirror.content[:] = content
            mirror.check()
        store.delete_snapshot(key(made[2][0]))
        mirror.check()
        assert list(store.list_snapshots()) == [made[0][0]]

    def test_a_name_in_use_is_refused(self, mirror: Mirror) -> None:
        """Else nobody could tell which one is meant."""
        if not _kept(mirror):
            return
        made = mirror.store.create_snapshot("the only one")
        _write_parts(mirror)
        with pytest.raises((OSError, StoreError)):
            mirror.store.create_snapshot("the only one")
        assert list(mirror.store.list_snapshots()) == [made]
        mirror.check()

    def test_what_is_not_there_is_refused(self, mirror: Mirror) -> None:
        """And nothing has changed."""
        if not _kept(mirror):
            return
        made = mirror.store.create_snapshot("there")
        _write_parts(mirror)
        for act in (mirror.store.delete_snapshot, mirror.store.revert_snapshot):
            with pytest.raises((OSError, StoreError)):
                act("not there")
        assert list(mirror.store.list_snapshots()) == [made]
        mirror.check()

    def test_a_snapshot_brings_its_size_back(self, mirror: Mirror) -> None:
        """Longer and shorter."""
        if not _kept(mirror) or not offered(mirror, Features.RESIZE) or not self.resizes:
            return
        store = mirror.store
        mirror.write(0, store.size_bytes)
        size_bytes, content = store.size_bytes, bytes(mirror.content)
        short = size_bytes // 2 // store.block_bytes * store.block_bytes
        store.create_snapshot("as it was")
        for other in (short, 2 * size_bytes):
            mirror.resize(other)
            mirror.write(0, other)
            store.revert_snapshot("as it was")
            assert store.size_bytes == size_bytes, "size_bytes must tell the size that the snapshot had"
            mirror.content[:] = content
            mirror.check()

    def test_snapshots_outlive_the_store(self, tmp_path: Path) -> None:
        """As far as anything does."""
        with self.opened(tmp_path) as mirror:
            if not _kept(mirror):
                return
            _write_parts(mirror)
            content, made = bytes(mirror.content), mirror.store.create_snapshot("kept")
            _write_parts(mirror)
        with self.opened(tmp_path) as mirror:
            assert list(mirror.store.list_snapshots()) == [made] * self.persistent
            if self.persistent:
                mirror.store.revert_snapshot("kept")
                mirror.content[:] = content
                mirror.check()

    def test_a_copy_of_a_snapshot_is_there_when_it_is_complete(self, mirror: Mirror, tmp_path: Path) -> None:
        """Who gives it up leaves nothing behind, and nobody's file is overwritten."""
        store = mirror.store
        if not _kept(mirror) or type(store).clone_snapshot is Store.clone_snapshot:
            return
        folder = tmp_path / "copies"
        folder.mkdir()
        _write_parts(mirror)
        made = store.create_snapshot("copied")
        steps = store.clone_snapshot(made.id, folder / "copy")
        next(steps)
        assert not (folder / "copy").exists(), "the copy has its name before it is complete"
        with pytest.raises((OSError, StoreError)):
            store.delete_snapshot(made.id)
        steps.close()
        assert list(folder.iterdir()) == [], "a copy that was given up has left something behind"
        _write_parts(mirror)
        done = list(store.clone_snapshot(made.id, folder / "copy"))
        assert done == sorted(done), "progress goes back"
        assert done[-1] == made.size_bytes
        assert [one.name for one in folder.iterdir()] == ["copy"]
        content = (folder / "copy").read_bytes()
        for taken in (made.id, "not there"):
            with pytest.raises((OSError, StoreError)):
                list(store.clone_snapshot(taken, folder / "copy"))
        check_same("a copy that there was already", (folder / "copy").read_bytes(), content)
        mirror.check()
        store.delete_snapshot(made.id)
        mirror.check()


def _write_parts(mirror: Mirror) -> None:
    """Write a part here and there, so that what was there before shows between."""
    for offset, length in list(mirror.ranges())[:-1]:
        mirror.write(offset, length)
