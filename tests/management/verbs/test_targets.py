"""Verbs on targets and access."""

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError

pytestmark = pytest.mark.asyncio


async def test_a_target_is_added_shown_and_removed(manage: Managed) -> None:
    keys = ["alias=second", "luns={0='b'}"]
    await manage("target add", target="t.two", transport="fake", keys=keys, allow=["host*"])
    assert manage.transport.log_in("t.two", "other") is None
    nexus = manage.transport.log_in("t.two", "host1")
    assert nexus is not None
    shown = await manage("target show", target="t.two")
    assert (shown["tid"], shown["alias"], shown["sessions"]) == (2, "second", 1)
    assert shown["urls"] == ["fake://one/t.two/0"]
    assert [row["name"] for row in await manage("target list")] == ["t.one", "t.two"]
    await manage("target remove", target="t.two")
    assert nexus.closed
    assert [row["name"] for row in await manage("target list")] == ["t.one"]


async def test_a_bad_name_is_refused(manage: Managed) -> None:
    with pytest.raises(ConfigError, match=r'targets.two: expected a name such as "t.one"'):
        await manage("target add", target="two", transport="fake")


async def test_access_is_shown_and_set(manage: Managed) -> None:
    assert await manage("access show", target="t.one") == {"initiators": ["*"], "addresses": []}
    await manage("access set", target="t.one", initiator=["HOST1"], address=["10.0.0.0/8"])
    assert await manage("access show", target="t.one") == {"initiators": ["host1"], "addresses": ["10.0.0.0/8"]}
    assert manage.transport.log_in("t.one", "host1", "11.0.0.1") is None
    assert manage.transport.log_in("t.one", "host1", "10.0.0.1") is not None


async def test_a_missing_target_is_its_own_error(manage: Managed) -> None:
    for verb in ("target show", "target remove", "access show", "access set"):
        with pytest.raises(VerbError) as caught:
            await manage(verb, target="t.on")
        assert caught.value.code is Code.NOT_FOUND
        assert 'did you mean "t.one"' in str(caught.value)
