"""What a store promises of its transactions."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tgtcore_xen.platform.testing.rig import Rig

if TYPE_CHECKING:
    from tgtcore_xen.platform.contract import Transaction


class TransactionPromises:
    """Tests of transactions."""

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
