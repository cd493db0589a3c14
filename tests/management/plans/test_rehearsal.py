"""A plan is checked as a whole, at the places of its file, before anything happens."""

from pathlib import Path

import pytest
from management.conftest import Managed
from support.plans import plan

from tgtcore.config import parse
from tgtcore.errors import ConfigError
from tgtcore.management.plans import Plan, rehearse

pytestmark = pytest.mark.asyncio

A, B = (f'unit = "{unit}"\n[[step]]\nat = 0\n' for unit in "ab")
NEXT = "\n[[step]]\nat = 1\n"
GOOD = plan(
    "a",
    (0, 'add = { type = "hold", name = "h" }'),
    (1.5, 'unit = "b"\nadd = { type = "power" }\nnote = "power may be cut"'),
    (1.5, 'change = { name = "h", tag = "x" }'),
    (2, 'do = { filter = "h", action = "add-up", of = 3 }'),
    (3, 'add = { type = "layer" }\nbefore = "h"'),
    (4, 'remove = "h"'),
    (5, ""),
)


def rehearsed(manage: Managed, text: str) -> Plan:
    source = parse(text.encode(), Path("/base"), "p.toml")
    return rehearse(source, manage.daemon.config, manage.daemon.plugins.registry)


async def test_steps_are_told_in_words(manage: Managed) -> None:
    found = rehearsed(manage, GOOD)
    assert [(step.at_s, step.unit, step.what) for step in found.steps] == [
        (0, "a", "add h (hold)"),
        (1.5, "b", "add power: power may be cut"),
        (1.5, "a", "change h"),
        (2, "a", "h does add-up"),
        (3, "a", "add layer"),
        (4, "a", "remove h"),
        (5, "a", "wait"),
    ]
    assert not found.keep
    assert manage.daemon.inventory.units["a"].filters == ()


async def test_layers_of_the_store_can_be_asked(manage: Managed) -> None:
    found = rehearsed(manage, '[[step]]\nat = 0\nunit = "b"\ndo = { filter = "power", action = "cut" }\n')
    assert (found.steps[0].filter, found.steps[0].asks) == ("power", ("cut", {}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.toml:1: step: this key is missing"),
        ("step = []", "p.toml:1: step: expected at least 1 item"),
        ("keep = 1\n[[step]]\nat = 0", "p.toml:1: keep: expected true or false"),
        ("stpe = []", 'stpe: unknown key; did you mean "step"?'),
        ("[[step]]\nat = -1", "p.toml:2: step[0].at: expected greater than or equal to 0, got -1"),
        ('[[step]]\nnote = "x"', "p.toml:1: step[0].at: this key is missing"),
        ('[[step]]\nat = 0\nremove = "x"', 'p.toml:1: step[0]: the key "unit" is missing'),
        (
            '[[step]]\nat = 0\nunit = "aa"\nremove = "x"',
            'p.toml:3: step[0].unit: there is no logical unit called "aa"; did you mean "a"?',
        ),
        ('unit = "aa"\n[[step]]\nat = 0\nnote = "x"', 'p.toml:1: unit: there is no logical unit called "aa"'),
        ('unit = "aa"\n[[step]]\nat = 0\nremove = "x"', 'p.toml:1: unit: there is no logical unit called "aa"'),
        (
            'unit = "a"\n[[step]]\nat = 2\n[[step]]\nat = 1',
            "p.toml:5: step[1].at: 1 s is before the step above, which is at 2 s",
        ),
        (A + 'remove = "x"\nadd = { type = "hold" }', "add and remove are two steps"),
        (A + 'before = "x"', "before: says where a filter comes to stand, so it needs add"),
        (
            A + 'add = { type = "hodl" }',
            'p.toml:4: step[0].add.type: there is no filter called "hodl"; did',
        ),
        (A + "add = {}", "step[0].add.type: this key is missing"),
        (
            A + 'add = { type = "hold", tga = 1 }',
            'step[0].add.tga: unknown key; did you mean "tag"?',
        ),
        (
            A + 'add = { type = "hold" }' + NEXT + 'add = { type = "hold" }',
            'p.toml:7: step[1].add: a has a filter called "hold" already at that time of the plan',
        ),
        (
            A + 'add = { type = "hold" }\nbefore = "x"',
            'step[0].before: at that time, logical_units.a has no filter called "x"',
        ),
        (A + 'remove = "x"', 'step[0].remove: at that time, logical_units.a has no filter called "x"'),
        (
            A + 'add = { type = "hold" }' + NEXT + 'remove = "hold"' + NEXT + 'remove = "hold"',
            "p.toml:10: step[2].remove: at that time, logical_units.a has no filter",
        ),
        (A + 'change = { tag = "x" }', "step[0].change.name: this key is missing"),
        (
            A + 'change = { name = "x" }',
            'step[0].change.name: at that time, logical_units.a has no filter called "x"',
        ),
        (
            A + 'add = { type = "hold" }' + NEXT + 'change = { name = "hold", tag = 5 }',
            "step[1].change.tag: expected text in quotes, got 5",
        ),
        (
            A + 'add = { type = "hold" }' + NEXT + 'change = { name = "hold", type = "layer" }',
            "step[1].change.type: a filter keeps its type",
        ),
        (A + 'do = { action = "x" }', "step[0].do.filter: this key is missing"),
        (
            B + 'do = { filter = "pwoer", action = "cut" }',
            'no filter called "pwoer"; did you mean "power"?',
        ),
        (
            B + 'do = { filter = "power", action = "cat" }',
            'step[0].do.action: filter power has no action "cat"; did you mean "cut"',
        ),
        (
            B + 'do = { filter = "power", action = "swap", of = "x" }',
            'step[0].do.of: expected a whole number, got "x"',
        ),
    ],
)
async def test_mistakes_are_named_with_their_place(manage: Managed, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rehearsed(manage, text)
    assert said in str(caught.value)


async def test_a_mistake_is_told_once(manage: Managed) -> None:
    text = A + 'add = { type = "hold", x = 1 }' + NEXT + 'do = { filter = "hold", action = "release" }'
    with pytest.raises(ConfigError) as caught:
        rehearsed(manage, text)
    assert len(caught.value.problems) == 1


async def test_there_are_no_more_filters_than_there_may_be(manage: Managed) -> None:
    text = 'unit = "a"\n' + "".join(f'[[step]]\nat = 0\nadd = {{ type = "hold", name = "n{n}" }}\n' for n in range(17))
    with pytest.raises(ConfigError, match=r"step\[16\].add: a has more than 16 filters at that time"):
        rehearsed(manage, text)
