"""Verbs on the daemon as a whole."""

import tomllib

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError

pytestmark = pytest.mark.asyncio


async def test_everything_is_shown_at_once(manage: Managed) -> None:
    shown = await manage("show")
    assert shown["daemon"]["plugins"] == ["fake"]
    assert [row["name"] for row in shown["targets"]] == ["t.one"]
    assert [row["name"] for row in shown["logical_units"]] == ["a", "b"]
    assert shown["sessions"] == []


async def test_leases_of_sessions_are_among_the_figures(manage: Managed) -> None:
    assert (await manage("stat"))["leases"] == []
    nexus = manage.transport.log_in("t.one", "host")
    (lease,) = (await manage("stat"))["leases"]
    assert (lease["what"], lease["holder"]) == ("target t.one", str(nexus))


async def test_what_is_saved_can_be_applied_again_and_changes_nothing(manage: Managed) -> None:
    await manage("lun remove", target="t.one", lun=0)
    text = await manage("save")
    assert tomllib.loads(text)["targets"]["t.one"]["luns"] == {"1": "b"}
    assert await manage("apply", text=text, folder="/", name="saved.toml") == []


async def test_a_dry_run_only_says_what_would_change(manage: Managed) -> None:
    text = manage.text.replace('luns = ["a", "b"]', 'luns = ["a"]')
    wanted = [{"action": "remove", "kind": "LUN", "name": "t.one", "detail": "LUN 1, logical unit b"}]
    assert await manage("apply", text=text, dry_run=True) == wanted
    assert await manage("apply", text=text) == wanted


async def test_problems_name_the_file_that_was_applied(manage: Managed) -> None:
    with pytest.raises(ConfigError, match=r"new.toml:1: typo: unknown key"):
        await manage("apply", text="typo = 1\n" + manage.text, name="new.toml")


async def test_plugins_and_verbs_are_listed(manage: Managed) -> None:
    (plugin,) = await manage("plugin list")
    assert (plugin["name"], plugin["offers"]["store"]) == ("fake", ["memory"])
    assert {"lun add", "verbs", "apply"} <= {row["verb"] for row in await manage("verbs")}


async def test_the_difference_is_shown_line_by_line(manage: Managed) -> None:
    assert await manage("diff", text=manage.text, folder="/") == ""
    new = manage.text.replace("[targets", 'serial = "S"\n[targets')
    lines = (await manage("diff", text=new, name="n.toml")).splitlines()
    assert lines[:2] == ["--- in force", "+++ n.toml"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ['+serial = "S"']
