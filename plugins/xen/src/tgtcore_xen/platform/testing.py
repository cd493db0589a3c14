"""The conformance kit of platforms: every promise of :mod:`tgtcore_xen.platform.contract` as a test.

Subclass it in a test module, and say how a platform is made and what a guest does beside it::

    class TestMyPlatform(PlatformConformance):
        def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
            return MyPlatform(MyOptions(), loop)

        def make_guest(self, platform: Platform) -> GuestSide:
            return MyGuest(...)
"""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ImportError(f"the conformance kit needs {missing.name}; install it with: pip install pytest") from missing

from tgtcore_xen.platform.contract import INTRODUCE, PAGE_BYTES, RELEASE, Copy, Piece, Platform

if TYPE_CHECKING:
    from tgtcore_xen.platform.contract import Transaction

_Result = TypeVar("_Result")

PATIENCE_S = 20.0
"""How long anything may take."""

NOBODY = 32000
"""A domid that no guest has."""


class SharedPage(Protocol):
    """A page of a guest that the back end may use."""

    reference: int
    """Of the grant."""
    view: memoryview
    """The guest's own view of it."""

    def end(self) -> None:
        """Let the back end use it no more; nobody has it mapped.  Idempotent."""


class GuestChannel(Protocol):
    """A guest's end of an event channel."""

    port: int
    """What the back end binds."""

    def notify(self) -> None:
        """Wake the back end up."""

    def close(self) -> None:
        """End it; idempotent."""


class GuestSide(Protocol):
    """A guest that does what a test asks, on the thread of the loop; it may be the back end's own domain."""

    domid: int

    def share(self, *, writable: bool) -> SharedPage:
        """Let the back end use a page of zeros that is the guest's."""

    def listen(self, told: Callable[[], None]) -> GuestChannel:
        """Make an event channel that the back end may bind; ``told`` is called when the back end has notified."""

    def close(self) -> None:
        """End all of its pages and channels that have not been ended."""


class Rig:
    """A platform that is open, on a loop of its own, with a guest.

    :param folder: a node of the store below which a test may do what it likes; it is not there yet.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, platform: Platform, guest: GuestSide, folder: str) -> None:
        self.loop = loop
        self.platform = platform
        self.store = platform.store
        self.guest = guest
        self.folder = folder

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run it to its end."""
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let the loop go on until something holds."""
        deadline = self.loop.time() + PATIENCE_S
        while not holds():
            assert self.loop.time() < deadline, f"waited in vain for {what}"
            self.loop.run_until_complete(asyncio.sleep(0.001))

    def settle(self) -> None:
        """Give what is not to happen the time to happen."""
        self.loop.run_until_complete(asyncio.sleep(0.02))

    def refused(self, work: Coroutine[Any, Any, Any]) -> int:
        """The error number that it raises."""
        with pytest.raises(OSError, match="Errno") as info:
            self.run(work)
        assert info.value.errno is not None
        return info.value.errno

    def copy(self, reference: int, memory: Any, *, to_guest: bool, offset: int = 0) -> bool:
        """Copy one piece."""
        (done,) = self.platform.grants.copy(
            [Copy(self.guest.domid, to_guest, [Piece(reference, offset, len(memory))], memory)]
        )
        return done


class PlatformConformance:
    """Tests that every platform passes."""

    folder: ClassVar[str] = "/tool/tgtcore-conformance"
    """A node of the store that the tests may use."""

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        """A platform that has not been opened."""
        raise NotImplementedError

    def make_guest(self, platform: Platform) -> GuestSide:
        """A guest whose back end is the platform's domain."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        """A platform that is open, and a guest."""
        loop = asyncio.new_event_loop()
        platform = self.make_platform(loop)
        loop.run_until_complete(platform.open())
        guest = self.make_guest(platform)
        rig = Rig(loop, platform, guest, self.folder)
        try:
            yield rig
        finally:
            guest.close()
            rig.run(platform.store.remove(self.folder))
            rig.run(platform.close())
            rig.run(platform.close())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    # ---- the store --------------------------------------------------------------------------------------------------------

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

    # ---- watches ----------------------------------------------------------------------------------------------------------

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

    # ---- transactions -----------------------------------------------------------------------------------------------------

    def test_a_transaction_happens_at_once(self, rig: Rig) -> None:
        """Nobody sees a part of it, and it sees what it has done itself."""
        folder, store = rig.folder, rig.store
        rig.run(store.write(f"{folder}/old", "1"))
        seen: list[Any] = []

        async def work(transaction: "Transaction") -> None:
            assert await transaction.read(f"{folder}/old") == "1"
            await transaction.write(f"{folder}/new", "2")
            await transaction.remove(f"{folder}/old")
            assert await transaction.read(f"{folder}/old") is None
            assert await transaction.read(f"{folder}/new") == "2"
            seen.append((await store.read(f"{folder}/old"), await store.read(f"{folder}/new")))

        rig.run(store.transact(work))
        assert seen == [("1", None)]
        assert rig.run(store.read(f"{folder}/new")) == "2"
        assert rig.run(store.read(f"{folder}/old")) is None

    def test_a_transaction_is_done_again_when_somebody_was_faster(self, rig: Rig) -> None:
        """Until it was alone; no change gets lost."""
        folder, store = rig.folder, rig.store
        rig.run(store.write(f"{folder}/counter", "10"))
        calls = 0

        async def work(transaction: "Transaction") -> None:
            nonlocal calls
            calls += 1
            value = int(await transaction.read(f"{folder}/counter") or "0")
            if calls == 1:
                await store.write(f"{folder}/counter", "20")
            await transaction.write(f"{folder}/counter", str(value + 1))

        rig.run(store.transact(work))
        assert calls == 2
        assert rig.run(store.read(f"{folder}/counter")) == "21"

    def test_a_transaction_that_fails_has_not_happened(self, rig: Rig) -> None:
        """What it raises comes out of it, and the store goes on."""
        folder, store = rig.folder, rig.store

        async def work(transaction: "Transaction") -> None:
            await transaction.write(f"{folder}/half", "1")
            raise LookupError("as the test wants")

        with pytest.raises(LookupError, match="as the test wants"):
            rig.run(store.transact(work))
        assert rig.run(store.read(f"{folder}/half")) is None

    def test_what_a_transaction_changes_is_told_when_it_has_ended(self, rig: Rig) -> None:
        """And not before."""
        folder, store = rig.folder, rig.store
        told: list[str] = []
        rig.run(store.make(folder))
        watch = rig.run(store.watch(folder, told.append))
        rig.until(lambda: len(told) == 1, "the first event")
        early: list[int] = []

        async def work(transaction: "Transaction") -> None:
            await transaction.write(f"{folder}/a", "1")
            await transaction.write(f"{folder}/b", "1")
            await asyncio.sleep(0.02)
            early.append(len(told))

        rig.run(store.transact(work))
        rig.until(lambda: len(told) == 3, "both changes")
        assert early == [1]
        assert sorted(told[1:]) == [f"{folder}/a", f"{folder}/b"]
        rig.run(watch.end())

    # ---- grants -----------------------------------------------------------------------------------------------------------

    def test_a_page_that_is_mapped_is_the_guests_own(self, rig: Rig) -> None:
        """Both sides see what the other has written."""
        page = rig.guest.share(writable=True)
        mapping = rig.platform.grants.map(rig.guest.domid, page.reference)
        assert len(mapping.view) == PAGE_BYTES
        assert not mapping.view.readonly
        mapping.view[:3] = b"abc"
        page.view[-3:] = b"xyz"
        assert bytes(page.view[:3]) == b"abc"
        assert bytes(mapping.view[-3:]) == b"xyz"
        mapping.close()
        mapping.close()
        page.end()

    def test_a_page_can_be_mapped_again(self, rig: Rig) -> None:
        """After the first mapping has ended, and beside it."""
        page = rig.guest.share(writable=True)
        first = rig.platform.grants.map(rig.guest.domid, page.reference)
        second = rig.platform.grants.map(rig.guest.domid, page.reference)
        first.view[0] = 7
        first.close()
        assert second.view[0] == 7
        second.close()
        third = rig.platform.grants.map(rig.guest.domid, page.reference)
        assert third.view[0] == 7
        third.close()
        page.end()

    def test_what_can_not_be_mapped(self, rig: Rig) -> None:
        """No grant, no guest, and a page that may not be written."""
        grants, domid = rig.platform.grants, rig.guest.domid
        read_only = rig.guest.share(writable=False)
        for number, reference in ((domid, 0xFFFF_FFF0), (NOBODY, 8), (domid, read_only.reference)):
            with pytest.raises(OSError, match="Errno"):
                grants.map(number, reference)
        read_only.end()

    @pytest.mark.parametrize(("offset", "length"), [(0, 4096), (0, 1), (4095, 1), (7, 512), (512, 3584), (0, 0)])
    def test_copies_both_ways(self, rig: Rig, offset: int, length: int) -> None:
        """Every byte, and nothing beside them."""
        page = rig.guest.share(writable=True)
        data = bytes(byte % 251 + 1 for byte in range(length))
        assert rig.copy(page.reference, data, to_guest=True, offset=offset)
        assert bytes(page.view) == bytes(offset) + data + bytes(PAGE_BYTES - offset - length)
        into = bytearray(length + 2)
        assert rig.copy(page.reference, memoryview(into)[1:-1], to_guest=False, offset=offset)
        assert bytes(into) == b"\0" + data + b"\0"
        page.end()

    def test_a_copy_of_many_pieces(self, rig: Rig) -> None:
        """In their order; memory that is shorter is the end of it."""
        pages = [rig.guest.share(writable=True) for _ in range(3)]
        pieces = [Piece(page.reference, 100 * number, 1000 + number) for number, page in enumerate(pages)]
        data = bytes(byte % 253 for byte in range(2500))
        domid, grants = rig.guest.domid, rig.platform.grants
        assert grants.copy([Copy(domid, True, pieces, data)]) == [True]
        found = [bytes(page.view[100 * n : 100 * n + 1000 + n]) for n, page in enumerate(pages)]
        assert b"".join(found)[:2500] == data
        assert not any(found[2][499:])
        into = bytearray(2500)
        assert grants.copy([Copy(domid, False, pieces, memoryview(into))]) == [True]
        assert into == data
        for page in pages:
            page.end()

    def test_a_batch_in_which_some_fail(self, rig: Rig) -> None:
        """Each says for itself whether it was done."""
        domid, grants = rig.guest.domid, rig.platform.grants
        good, read_only = rig.guest.share(writable=True), rig.guest.share(writable=False)
        read_only.view[:4] = b"look"
        into = [bytearray(4) for _ in range(2)]
        unknown = 0xFFFF_FFF0
        batch = [
            Copy(domid, True, [Piece(good.reference, 0, 4)], b"good"),
            Copy(domid, True, [Piece(unknown, 0, 4)], b"lost"),
            Copy(domid, True, [Piece(read_only.reference, 0, 4)], b"lost"),
            Copy(domid, False, [Piece(read_only.reference, 0, 4)], memoryview(into[0])),
            Copy(NOBODY, False, [Piece(good.reference, 0, 4)], memoryview(bytearray(4))),
            Copy(domid, True, [Piece(good.reference, 8, 2), Piece(unknown, 0, 2)], b"half"),
            Copy(domid, False, [Piece(good.reference, 0, 4)], memoryview(into[1])),
        ]
        assert grants.copy(batch) == [True, False, False, True, False, False, True]
        assert [bytes(one) for one in into] == [b"look", b"good"]
        assert bytes(read_only.view[:4]) == b"look"
        good.end()
        read_only.end()

    def test_a_batch_that_is_long(self, rig: Rig) -> None:
        """Or has nothing in it."""
        domid, grants = rig.guest.domid, rig.platform.grants
        page = rig.guest.share(writable=True)
        batch = [
            Copy(
                domid,
                True,
                [Piece(page.reference, 4 * n, 2), Piece(page.reference, 4 * n + 2, 2)],
                n.to_bytes(4, "big"),
            )
            for n in range(1000)
        ]
        assert grants.copy(batch) == [True] * 1000
        assert bytes(page.view[:4000]) == b"".join(n.to_bytes(4, "big") for n in range(1000))
        assert grants.copy([]) == []
        assert grants.copy([Copy(domid, True, [], b"")]) == [True]
        page.end()

    # ---- event channels ---------------------------------------------------------------------------------------------------

    def test_notifications_go_both_ways(self, rig: Rig) -> None:
        """Neither comes from within a call, and what comes together is told together, or what came first and then all the rest."""
        ours: list[bool] = []
        theirs: list[bool] = []
        far = rig.guest.listen(lambda: theirs.append(inside))
        inside = False
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: ours.append(inside))
        rig.settle()
        for times in range(1, 6):
            ours.clear()
            theirs.clear()
            inside = True
            for _ in range(times):
                far.notify()
                near.notify()
            inside = False
            rig.until(lambda: bool(ours) and bool(theirs), "both notifications")
            rig.settle()
            assert not any(ours + theirs)
            assert max(len(ours), len(theirs)) <= min(times, 2)
        near.close()
        near.close()
        far.close()

    def test_a_channel_that_is_closed_tells_nothing(self, rig: Rig) -> None:
        """Also of what has come before; notifying on it harms nobody."""
        told: list[int] = []
        far = rig.guest.listen(lambda: told.append(0))
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: told.append(1))
        rig.settle()
        told.clear()
        far.notify()
        near.close()
        far.notify()
        rig.settle()
        assert 1 not in told
        far.close()

    def test_what_can_not_be_bound(self, rig: Rig) -> None:
        """No such channel, no such guest, and one that is bound."""
        channels, domid = rig.platform.channels, rig.guest.domid
        far = rig.guest.listen(lambda: None)
        near = channels.bind(domid, far.port, lambda: None)
        for number, port in ((domid, far.port), (domid, 0xFFFF_FFF0), (NOBODY, far.port)):
            with pytest.raises(OSError, match="Errno"):
                channels.bind(number, port, lambda: None)
        near.close()
        far.close()

    def test_a_channel_can_be_bound_again(self, rig: Rig) -> None:
        """As by a back end that is started again: the guest keeps its end."""
        told: list[int] = []
        theirs: list[int] = []
        far = rig.guest.listen(lambda: theirs.append(1))
        rig.platform.channels.bind(rig.guest.domid, far.port, lambda: told.append(1)).close()
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: told.append(2))
        rig.settle()
        told.clear()
        theirs.clear()
        far.notify()
        near.notify()
        rig.until(lambda: told == [2] and theirs == [1], "both notifications")
        near.close()
        far.close()

    def test_a_guest_that_has_closed_its_channel(self, rig: Rig) -> None:
        """Notifying it does nothing."""
        far = rig.guest.listen(lambda: None)
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: None)
        far.close()
        near.notify()
        near.close()
        near.close()
