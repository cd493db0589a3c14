"""What a store promises of its watches."""

import pytest

from tgtcore_xen.platform.contract import INTRODUCE, RELEASE
from tgtcore_xen.platform.testing.rig import Rig


class WatchPromises:
    """Tests of watches."""

    def test_a_watch_tells_at_the_beginning_and_of_each_change(self, rig: Rig) -> None:
        """With the path of what has changed, and not from within a call."""
        told: list[str] = []
        rig.run(rig.store.write(f"{rig.folder}/a", "0"))
        watch = rig.run(rig.store.watch(f"{rig.folder}/a", told.append))
        rig.until(lambda: told == [f"{rig.folder}/a"], "the first event")
        rig.run(rig.store.write(f"{rig.folder}/a", "1"))
        rig.run(rig.store.write(f"{rig.folder}/a/b/c", "1"))
        rig.run(rig.store.write(f"{rig.folder}/ab", "1"))
        rig.run(rig.store.write(f"{rig.folder}/a", "1"))
        wanted = [f"{rig.folder}/{name}" for name in ("a", "a", "a/b/c", "a")]
        rig.until(lambda: len(told) >= len(wanted), "all events")
        assert told == wanted
        rig.run(watch.end())
        rig.run(watch.end())
        rig.run(rig.store.write(f"{rig.folder}/a", "2"))
        rig.settle()
        assert told == wanted

    def test_a_watch_tells_of_permissions_and_removals(self, rig: Rig) -> None:
        """Also when a node above it is removed."""
        path = f"{rig.folder}/a/b"
        rig.run(rig.store.write(path, "0"))
        told: list[str] = []
        watch = rig.run(rig.store.watch(path, told.append))
        rig.until(lambda: len(told) == 1, "the first event")
        rig.run(rig.store.permit(path, (f"n{rig.platform.domid}",)))
        rig.until(lambda: len(told) == 2, "the change of permissions")
        rig.run(rig.store.remove(f"{rig.folder}/a"))
        rig.until(lambda: len(told) == 3, "the removal")
        assert told == [path] * 3
        rig.run(watch.end())

    def test_a_watch_of_what_is_not_there_yet(self, rig: Rig) -> None:
        """It tells when it comes."""
        path = f"{rig.folder}/later"
        told: list[str] = []
        watch = rig.run(rig.store.watch(path, told.append))
        rig.until(lambda: told == [path], "the first event")
        rig.run(rig.store.write(path, "1"))
        rig.until(lambda: told == [path] * 2, "the second event")
        rig.run(watch.end())

    def test_watches_of_the_same_node_are_independent(self, rig: Rig) -> None:
        """One that ends takes none along."""
        first: list[str] = []
        second: list[str] = []
        one = rig.run(rig.store.watch(rig.folder, first.append))
        other = rig.run(rig.store.watch(rig.folder, second.append))
        rig.until(lambda: len(first) == len(second) == 1, "the first events")
        rig.run(one.end())
        rig.run(rig.store.write(f"{rig.folder}/a", "1"))
        rig.until(lambda: len(second) == 2, "the change")
        assert len(first) == 1
        rig.run(other.end())

    @pytest.mark.parametrize("name", [INTRODUCE, RELEASE])
    def test_a_watch_of_guests_that_come_or_go(self, rig: Rig, name: str) -> None:
        """It tells at the beginning, and not of nodes."""
        told: list[str] = []
        watch = rig.run(rig.store.watch(name, told.append))
        rig.until(lambda: told == [name], "the first event")
        rig.run(rig.store.write(f"{rig.folder}/a", "1"))
        rig.settle()
        assert told == [name]
        rig.run(watch.end())
