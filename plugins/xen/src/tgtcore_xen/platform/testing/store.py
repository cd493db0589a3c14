"""What a store promises of its nodes."""

import asyncio
import errno

import pytest

from tgtcore_xen.platform.testing.rig import NOBODY, Rig


class StorePromises:
    """Tests of nodes."""

    @pytest.mark.parametrize("value", ["", "4", "two words", "grüße", "x" * 2000])
    def test_a_value_is_read_as_it_was_written(self, rig: Rig, value: str) -> None:
        """Whatever text it is."""
        path = f"{rig.folder}/value"
        rig.run(rig.store.write(path, "before"))
        rig.run(rig.store.write(path, value))
        assert rig.run(rig.store.read(path)) == value

    def test_what_is_not_there(self, rig: Rig) -> None:
        """It has no value and nothing below it, and can be removed as often as one likes."""
        path = f"{rig.folder}/nothing/at/all"
        assert rig.run(rig.store.read(path)) is None
        assert list(rig.run(rig.store.list(path))) == []
        rig.run(rig.store.remove(path))
        assert rig.refused(rig.store.permit(path, (f"n{rig.platform.domid}",))) == errno.ENOENT

    def test_nodes_above_are_made(self, rig: Rig) -> None:
        """They have the empty value, and list what is below them."""
        rig.run(rig.store.write(f"{rig.folder}/a/b/c", "1"))
        rig.run(rig.store.write(f"{rig.folder}/a/d", "2"))
        assert rig.run(rig.store.read(f"{rig.folder}/a")) == ""
        assert sorted(rig.run(rig.store.list(f"{rig.folder}/a"))) == ["b", "d"]
        assert list(rig.run(rig.store.list(f"{rig.folder}/a/d"))) == []

    def test_many_nodes_are_listed(self, rig: Rig) -> None:
        """More than fit into one message of the store."""
        names = {f"node-{'x' * 40}-{number:03}" for number in range(100)}
        for name in names:
            rig.run(rig.store.write(f"{rig.folder}/{name}", ""))
        assert set(rig.run(rig.store.list(rig.folder))) == names

    def test_a_node_that_is_made(self, rig: Rig) -> None:
        """One that is there already stays as it is."""
        path = f"{rig.folder}/made/node"
        rig.run(rig.store.make(path))
        assert rig.run(rig.store.read(path)) == ""
        rig.run(rig.store.write(path, "kept"))
        rig.run(rig.store.make(path))
        assert rig.run(rig.store.read(path)) == "kept"

    def test_a_node_that_is_removed(self, rig: Rig) -> None:
        """It goes with all below it, and with nothing beside it."""
        for name in ("a", "a/b/c", "ab"):
            rig.run(rig.store.write(f"{rig.folder}/{name}", name))
        rig.run(rig.store.remove(f"{rig.folder}/a"))
        assert rig.run(rig.store.read(f"{rig.folder}/a/b/c")) is None
        assert list(rig.run(rig.store.list(rig.folder))) == ["ab"]

    def test_permissions_can_be_set(self, rig: Rig) -> None:
        """The owner can still do everything."""
        path = f"{rig.folder}/ours"
        rig.run(rig.store.make(path))
        rig.run(rig.store.permit(path, (f"n{rig.platform.domid}", f"r{rig.guest.domid}")))
        rig.run(rig.store.write(f"{path}/below", "1"))
        assert rig.run(rig.store.read(f"{path}/below")) == "1"

    @pytest.mark.parametrize("path", ["no/slash", "//", "/double//slash", "/at/the/end/", "/sp ace", ""])
    def test_a_path_that_is_none(self, rig: Rig, path: str) -> None:
        """The store refuses it."""
        assert rig.refused(rig.store.write(path, "1")) in (errno.EINVAL, errno.EACCES, errno.ENOENT)

    def test_a_value_that_is_too_long(self, rig: Rig) -> None:
        """It is refused, and the next call works."""
        path = f"{rig.folder}/long"
        rig.run(rig.store.write(path, "short"))
        assert rig.refused(rig.store.write(path, "x" * 5000)) in (errno.E2BIG, errno.ENOSPC, errno.EINVAL)
        assert rig.run(rig.store.read(path)) == "short"

    def test_calls_that_overlap(self, rig: Rig) -> None:
        """Each gets its own answer."""

        async def work() -> list[str | None]:
            writes = [rig.store.write(f"{rig.folder}/n{number}", str(number)) for number in range(50)]
            await asyncio.gather(*writes)
            return await asyncio.gather(*(rig.store.read(f"{rig.folder}/n{number}") for number in range(50)))

        assert rig.run(work()) == [str(number) for number in range(50)]

    def test_guests_that_are_there(self, rig: Rig) -> None:
        """And one that is not."""
        assert rig.run(rig.store.is_introduced(rig.guest.domid))
        assert not rig.run(rig.store.is_introduced(NOBODY))
