"""Names of things that are not there, and things that are there twice."""

from types import SimpleNamespace
from typing import Any

import pytest
from tgtcore_iscsi.check import problems
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions


def config(options: Any = None, **target: Any) -> Any:
    targets = {"iqn.2025-01.example:a": SimpleNamespace(options=IscsiTargetOptions(**target))}
    transports = {"iscsi": SimpleNamespace(options=options or IscsiOptions())}
    return SimpleNamespace(transports=transports, targets=targets, accounts={"alice": None})


def test_what_is_there_is_no_problem() -> None:
    assert (
        problems(config(IscsiOptions(discovery_auth=("alice",)), auth=("alice",), mutual="alice", portal_groups=(1,)))
        == []
    )


TARGET = ("targets", "iqn.2025-01.example:a")
NO_BOB = 'there is no account called "bob" (expected one of: alice)'


@pytest.mark.parametrize(
    ("options", "target", "place", "message"),
    [
        (None, {"auth": ("bob",)}, (*TARGET, "auth"), NO_BOB),
        (None, {"auth": ("alice",), "mutual": "bob"}, (*TARGET, "mutual"), NO_BOB),
        (
            None,
            {"portal_groups": (1, 7)},
            (*TARGET, "portal_groups"),
            "no portal is in group 7 (expected one of: 1)",
        ),
        (IscsiOptions(discovery_auth=("bob",)), {}, ("transports", "iscsi", "discovery_auth"), NO_BOB),
        (IscsiOptions(discovery_mutual="bob"), {}, ("transports", "iscsi", "discovery_mutual"), NO_BOB),
    ],
)
def test_each_name_that_is_not_there_is_one_problem(
    options: Any, target: dict[str, Any], place: tuple[str, ...], message: str
) -> None:
    assert problems(config(options, **target)) == [(place, message)]


def test_without_any_account_the_table_is_named() -> None:
    one = config(auth=("bob",))
    one.accounts.clear()
    assert problems(one)[0][1] == 'there is no account called "bob" (expected a table [accounts.bob])'


def test_a_portal_is_named_once() -> None:
    twice = IscsiOptions.model_validate(
        {"portals": [{"address": "[::1]"}, {"address": "[0::1]:3261"}, {"address": "[::1]:3260"}]}
    )
    assert problems(config(twice)) == [
        (("transports", "iscsi", "portals", 2), "portal [::1]:3260 is there already; name it once")
    ]
    free = IscsiOptions.model_validate({"portals": [{"address": "127.0.0.1:0"}] * 2})
    assert problems(config(free)) == []


def test_names_that_differ_in_case_are_one_target() -> None:
    one = config()
    one.targets["IQN.2025-01.example:A"] = one.targets["iqn.2025-01.example:a"]
    ((place, message),) = problems(one)
    assert place == ("targets", "IQN.2025-01.example:A")
    assert 'is the same name as "iqn.2025-01.example:a"' in message


def test_a_configuration_without_iscsi_is_no_business_of_ours() -> None:
    assert problems(SimpleNamespace(transports={}, targets={}, accounts={})) == []
