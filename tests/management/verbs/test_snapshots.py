"""Verbs on snapshots."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from daemon.snapshots.conftest import CONFIG, X, Y, keep, store_of
from management.conftest import Managed, managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError, code_of

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def manage(tmp_path: Path) -> AsyncIterator[Managed]:
    async with managed(tmp_path, CONFIG, keep()) as manage:
        yield manage


async def test_a_snapshot_is_made_listed_gone_back_to_and_deleted(manage: Managed) -> None:
    store = store_of(manage)
    store.write(0, X)
    made = await manage("snapshot create", unit="a", name="before the upgrade")
    assert (made["unit"], made["id"], made["name"], made["size_bytes"]) == ("a", "1", "before the upgrade", 1 << 20)
    assert made["paused_ms"] >= 0
    store.write(0, Y)
    (row,) = await manage("snapshot list", unit="a")
    assert row == {key: made[key] for key in ("id", "name", "created", "created_ns", "size_bytes")}
    gone_back = await manage("snapshot revert", unit="a", name="before the upgrade")
    assert gone_back["name"] == "before the upgrade"
    assert store.content[:512] == X
    await manage("snapshot delete", unit="a", name="1")
    assert await manage("snapshot list", unit="a") == []


async def test_a_snapshot_is_copied_to_where_the_client_is(manage: Managed, tmp_path: Path) -> None:
    store_of(manage).write(0, X)
    await manage("snapshot create", unit="a", name="one")
    done = await manage("snapshot clone", unit="a", name="one", path="copy", cwd=str(tmp_path))
    assert (done["unit"], done["name"], done["path"]) == ("a", "one", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes()[:512] == X


async def test_without_a_name_the_time_is_one(manage: Managed) -> None:
    names = [(await manage("snapshot create", unit="a"))["name"] for _ in range(3)]
    assert len(set(names)) == 3
    for name in names:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(\.\d)?", name)


async def test_what_is_in_use_goes_back_by_force_only(manage: Managed) -> None:
    await manage("snapshot create", unit="a", name="one")
    manage.transport.log_in("t.one", "host")
    with pytest.raises(Exception, match="nexus host") as caught:
        await manage("snapshot revert", unit="a", name="one")
    assert code_of(caught.value) is Code.BUSY
    assert (await manage("snapshot revert", unit="a", name="one", force=True))["name"] == "one"


async def test_mistakes_are_explained(manage: Managed) -> None:
    with pytest.raises(VerbError, match='there is no logical unit called "aa"'):
        await manage("snapshot list", unit="aa")
    with pytest.raises(Exception, match='has no snapshot "one"') as caught:
        await manage("snapshot delete", unit="a", name="one")
    assert code_of(caught.value) is Code.NOT_FOUND
    with pytest.raises(ConfigError, match="snapshot create: name"):
        await manage("snapshot create", unit="a", name="a\nb")


async def test_a_deadline_counts(manage: Managed) -> None:
    store = store_of(manage)
    store.gate("flush")
    with pytest.raises(Exception, match=r"has not begun after 0\.05 s") as caught:
        await manage("snapshot create", unit="a", name="one", deadline=0.05)
    assert code_of(caught.value) is Code.BUSY
    store.open()


async def test_where_commands_get_no_time_the_store_does(tmp_path: Path) -> None:
    async with managed(tmp_path, CONFIG.replace("drain_s = 0.2", "drain_s = 0"), keep()) as manage:
        assert (await manage("snapshot create", unit="a", name="one"))["name"] == "one"
