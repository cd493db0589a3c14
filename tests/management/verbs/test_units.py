"""Verbs on logical units."""

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError

pytestmark = pytest.mark.asyncio


async def test_units_are_listed_and_shown(manage: Managed) -> None:
    a, b = await manage("lu list")
    assert (a["name"], a["size_bytes"], a["luns"], a["state"]) == ("a", 1 << 20, ["t.one/0"], "online")
    assert b["store"] == "through(memory())"
    manage.transport.log_in("t.one", "host")
    shown = await manage("lu show", name="a")
    assert shown["options"] == {"block_size": 512, "refuses": False}
    assert [nexus["initiator"] for nexus in shown["nexuses"]] == ["host"]


async def test_a_unit_is_added_mapped_unmapped_and_removed(manage: Managed) -> None:
    steps = await manage("lu add", name="c", device_type="fake", keys=["store.type=memory", "store.size=8192"])
    assert steps == [{"action": "add", "kind": "logical unit", "name": "c", "detail": "memory()"}]
    await manage("lun add", target="t.one", lun=5, unit="c")
    with pytest.raises(VerbError, match=r'logical unit "c" is LUN 5 of t.one') as caught:
        await manage("lu remove", name="c")
    assert caught.value.code is Code.BUSY
    await manage("lun remove", target="t.one", lun=5)
    await manage("lu remove", name="c")
    assert set(manage.daemon.inventory.units) == {"a", "b"}


async def test_force_takes_a_unit_out_of_every_target(manage: Managed) -> None:
    nexus = manage.transport.log_in("t.one", "host")
    assert nexus is not None
    await manage("lu remove", name="a", unmap=True)
    assert list(nexus.luns()) == [1]
    assert set(manage.daemon.config.document["logical_units"]) == {"b"}


async def test_a_unit_is_resized(manage: Managed) -> None:
    assert await manage("lu resize", name="a", size="2M") == {"name": "a", "size_bytes": 2 << 20}
    with pytest.raises(ConfigError, match=r"lu resize: size: '2x' is not a size"):
        await manage("lu resize", name="a", size="2x")


async def test_a_unit_is_taken_offline_and_back_online(manage: Managed) -> None:
    lu = manage.daemon.inventory.units["a"].lu
    for _ in range(2):
        assert await manage("lu offline", name="a") == {"name": "a", "state": "offline"}
        assert not lu.online
    assert (await manage("lu show", name="a"))["state"] == "offline"
    assert await manage("lu online", name="a") == {"name": "a", "state": "online"}
    assert lu.online
    with pytest.raises(VerbError, match="there is no logical unit called"):
        await manage("lu offline", name="aa")


async def test_mistakes_are_explained(manage: Managed) -> None:
    with pytest.raises(VerbError, match='there is no logical unit called "aa"; did you mean "a"') as caught:
        await manage("lu show", name="aa")
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(ConfigError, match=r"logical_units.a is there already"):
        await manage("lu add", name="a", device_type="fake")
    with pytest.raises(ConfigError, match=r'logical_units.c.store.siez: unknown key; did you mean "size"'):
        await manage("lu add", name="c", device_type="fake", keys=["store.type=memory", "store.siez=1"])
