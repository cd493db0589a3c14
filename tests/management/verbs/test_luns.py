"""Verbs on LUNs."""

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError

pytestmark = pytest.mark.asyncio


async def test_luns_are_listed(manage: Managed) -> None:
    rows = await manage("lun list")
    assert [(row["target"], row["lun"], row["unit"]) for row in rows] == [("t.one", 0, "a"), ("t.one", 1, "b")]
    assert await manage("lun list", target="t.one") == rows
    with pytest.raises(VerbError, match=r'there is no target called "t.two"'):
        await manage("lun list", target="t.two")


async def test_a_lun_is_taken_once(manage: Managed) -> None:
    with pytest.raises(ConfigError, match=r'LUN 0 is "a" already'):
        await manage("lun add", target="t.one", lun=0, unit="b")


async def test_private_maps_are_reached_by_number(manage: Managed) -> None:
    private = '[[targets."t.one".private_luns]]\ninitiators = ["host"]\nluns = {}\n'
    await manage.apply((manage.text, manage.text + private))
    nexus = manage.transport.log_in("t.one", "host")
    assert nexus is not None
    await manage("lun add", target="t.one", lun=9, unit="b", map=1)
    assert list(nexus.luns()) == [9]
    await manage("lun remove", target="t.one", lun=9, map=1)
    assert list(nexus.luns()) == []


@pytest.mark.parametrize("arguments", [{"lun": 7}, {"lun": 0, "map": 1}])
async def test_what_is_not_there_can_not_be_removed(manage: Managed, arguments: dict[str, int]) -> None:
    with pytest.raises(VerbError) as caught:
        await manage("lun remove", target="t.one", **arguments)
    assert caught.value.code is Code.NOT_FOUND
