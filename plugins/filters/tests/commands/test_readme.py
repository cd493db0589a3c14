"""The manual page says what there is, and its examples are accepted."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tgtcore_filters.commands import FILTERS
from tgtcore_filters.commands.choice import ChoiceOptions
from tgtcore_filters.commands.delay import DISTRIBUTIONS

PAGE = (Path(__file__).parents[2] / "README.md").read_text()
SECTIONS = dict(re.findall(r"^### ([\w -]+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = [
    example
    for text in re.findall(r"^```toml\n(filters = .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for example in tomllib.loads(text)["filters"]
    if example["type"] in FILTERS
]


@pytest.mark.parametrize("name", FILTERS)
def test_every_key_and_every_action_is_explained(name: str) -> None:
    cls = FILTERS[name]
    shared = set(ChoiceOptions.model_fields) if issubclass(cls.Options, ChoiceOptions) else set()
    for key in set(cls.Options.model_fields) - shared:
        assert f"| `{key}` | " in SECTIONS[name]
    for action in cls.actions.values():
        assert f"action `{action.name}`" in SECTIONS[name]
        for argument in action.arguments.model_fields:
            assert f"`{argument}`" in SECTIONS[name]


def test_every_key_of_the_choice_is_explained() -> None:
    for key in ChoiceOptions.model_fields:
        assert f"| `{key}` | " in SECTIONS["Which commands"]


def test_every_distribution_is_explained() -> None:
    for name in DISTRIBUTIONS:
        assert f"| `{name}` | " in SECTIONS["delay"]


@pytest.mark.parametrize("name", FILTERS)
def test_there_is_an_example(name: str) -> None:
    assert any(example["type"] == name for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.get("name", example["type"]))
def test_an_example_is_accepted(example: dict[str, Any]) -> None:
    keys = {key: value for key, value in example.items() if key not in ("type", "name")}
    assert FILTERS[example["type"]].Options(**keys) is not None
