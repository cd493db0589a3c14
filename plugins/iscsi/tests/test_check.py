"""Names of accounts and portal groups that are not there."""

from types import SimpleNamespace
from typing import Any

import pytest
from tgtcore_iscsi.check import problems
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions


def config(options: Any = None, **target: Any) -> Any:
    targets = {"iqn.2025-01.example:a": SimpleNamespace(options=IscsiTargetOptions(**target))}
    return SimpleNamespace(transports={"iscsi": options or IscsiOptions()}, targets=targets, accounts={"alice": None})


def test_what_is_there_is_no_problem() -> None:
    assert (
        problems(config(IscsiOptions(discovery_auth=("alice",)), auth=("alice",), mutual="alice", portal_groups=(1,)))
        == []
    )


@pytest.mark.parametrize(
    ("options", "target", "message"),
    [
        (
            None,
            {"auth": ("bob",)},
            'targets."iqn.2025-01.example:a": auth: there is no account called "bob" (expected one of: alice)',
        ),
        (None, {"auth": ("alice",), "mutual": "bob"}, 'mutual: there is no account called "bob"'),
        (None, {"portal_groups": (1, 7)}, "portal_groups: no portal is in group 7"),
        (
            IscsiOptions(discovery_auth=("bob",)),
            {},
            'transports.iscsi: discovery_auth: there is no account called "bob"',
        ),
        (
            IscsiOptions(discovery_mutual="bob"),
            {},
            'transports.iscsi: discovery_mutual: there is no account called "bob"',
        ),
    ],
)
def test_each_name_that_is_not_there_is_one_problem(options: Any, target: dict[str, Any], message: str) -> None:
    (problem,) = problems(config(options, **target))
    assert message in problem


def test_a_configuration_without_iscsi_is_no_business_of_ours() -> None:
    assert problems(SimpleNamespace(transports={}, targets={}, accounts={})) == []
