"""The table of verbs."""

import asyncio
from typing import Any

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError, code_of
from tgtcore.management.verbs import VERBS
from tgtcore.options import Options


class Arguments(Options):
    name: str


@pytest.mark.asyncio
async def test_an_unknown_verb_gets_the_nearest_one(manage: Managed) -> None:
    with pytest.raises(VerbError, match='there is no verb "lun lst"; did you mean "lun list"') as caught:
        await manage("lun lst")
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.asyncio
async def test_every_wrong_argument_is_shown(manage: Managed) -> None:
    with pytest.raises(ConfigError) as caught:
        await manage("lun add", target="t.one", lun=-1, unti="a")
    assert len(caught.value.problems) == 3
    assert any('lun add: unti: unknown key; did you mean "unit"?' in problem for problem in caught.value.problems)


@pytest.mark.asyncio
async def test_verbs_of_plugins_run_too_whether_they_wait_or_not(manage: Managed) -> None:
    async def later(arguments: Any) -> str:
        return f"later {arguments.name}"

    manage.daemon.plugins.admin.add(
        "acme now", lambda arguments: f"now {arguments.name}", help="now", arguments=Arguments
    )
    manage.daemon.plugins.admin.add("acme later", later, help="later", arguments=Arguments)
    assert await manage("acme now", name="x") == "now x"
    assert await manage("acme later", name="x") == "later x"
    with pytest.raises(ConfigError, match="acme now: name: this key is missing"):
        await manage("acme now")


@pytest.mark.asyncio
async def test_a_verb_about_a_transport_gets_it(manage: Managed) -> None:
    async def show(_: Any, driver: Any) -> Any:
        return await driver.sessions()

    manage.daemon.plugins.admin.add("acme show", show, help="show", transport="fake")
    manage.daemon.plugins.admin.add("acme miss", show, help="miss", transport="acme")
    assert await manage("acme show") == []
    with pytest.raises(VerbError, match='there is no transport called "acme"') as caught:
        await manage("acme miss")
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.asyncio
async def test_a_verb_may_change_the_configuration(manage: Managed) -> None:
    async def rename(_: Any, edit: Any) -> Any:
        return await edit(lambda document: document["targets"]["t.one"].update(alias="other"))

    async def spoil(_: Any, edit: Any) -> None:
        await edit(lambda document: document["targets"]["t.one"].update(luns=["nothing"]))

    manage.daemon.plugins.admin.add("acme rename", rename, help="rename", edits=True)
    manage.daemon.plugins.admin.add("acme spoil", spoil, help="spoil", edits=True)
    (step,) = await manage("acme rename")
    assert (step["action"], step["kind"], step["name"]) == ("change", "target", "t.one")
    assert manage.daemon.config.targets["t.one"].alias == "other"
    with pytest.raises(ConfigError, match="nothing"):
        await manage("acme spoil")
    assert manage.daemon.config.targets["t.one"].alias == "other"


def test_every_argument_of_every_verb_is_explained() -> None:
    for verb in VERBS.values():
        assert verb.help.endswith(".")
        for name, field in verb.arguments.model_fields.items():
            assert field.description, f"{verb.name}: {name}"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("lun remove", {"target": "t.one", "lun": 0}),
        ("lu remove", {"name": "b", "unmap": True}),
        ("target remove", {"target": "t.one"}),
    ],
)
async def test_two_may_remove_the_same_thing_and_who_comes_later_is_told_that_it_is_gone(
    manage: Managed, verb: str, arguments: dict[str, Any]
) -> None:
    both = await asyncio.gather(manage(verb, **arguments), manage(verb, **arguments), return_exceptions=True)
    assert isinstance(both[0], list)
    assert both[1] == both[0][-1:] or code_of(both[1]) is Code.NOT_FOUND
    with pytest.raises(VerbError) as caught:
        await manage(verb, **arguments)
    assert caught.value.code is Code.NOT_FOUND
    assert await manage(verb, **arguments, if_exists=True) == []


@pytest.mark.asyncio
async def test_before_the_start_and_after_the_stop_there_is_nothing_to_manage(manage: Managed) -> None:
    manage.daemon.serving = False
    for verb in ("show", "stat", "save"):
        with pytest.raises(VerbError, match="the daemon is starting"):
            await manage(verb)
    manage.daemon.serving = True
