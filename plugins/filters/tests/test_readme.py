"""The manual page says what there is, and its examples are accepted."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tgtcore_filters import commands, storage
from tgtcore_filters.commands.choice import ChoiceOptions
from tgtcore_filters.commands.delay import DISTRIBUTIONS
from tgtcore_filters.storage.crash import Crash
from tgtcore_filters.storage.faulty import Faulty, FaultyOptions
from tgtcore_filters.storage.power_cut import Cut

from tgtcore.testing.ram import RamStore

FILTERS: dict[str, Any] = {**commands.FILTERS, **storage.FILTERS}
PAGE = (Path(__file__).parents[1] / "README.md").read_text()
SECTIONS = dict(re.findall(r"^### ([\w -]+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = [
    example
    for text in re.findall(r"^```toml\n(filters = .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for example in tomllib.loads(text)["filters"]
]


@pytest.mark.parametrize("name", FILTERS)
def test_every_key_and_every_action_is_explained(name: str) -> None:
    cls = FILTERS[name]
    shared = [model for model in (ChoiceOptions, FaultyOptions) if issubclass(cls.Options, model)]
    for key in set(cls.Options.model_fields).difference(*(model.model_fields for model in shared)):
        assert f"| `{key}` | " in SECTIONS[name]
    for action in set(cls.actions) - (set(Faulty.actions) if issubclass(cls, Faulty) else set()):
        assert f"action `{action}`" in SECTIONS[name]
        for argument in cls.actions[action].arguments.model_fields:
            assert f"`{argument}`" in SECTIONS[name]


@pytest.mark.parametrize(("section", "model"), [("Which commands", ChoiceOptions), ("Which calls", FaultyOptions)])
def test_every_key_that_several_have_is_explained(section: str, model: Any) -> None:
    for key in model.model_fields:
        assert f"| `{key}` | " in SECTIONS[section]


def test_what_faulty_ones_have_in_common_is_explained() -> None:
    for action in Faulty.actions:
        assert f"action `{action}`" in SECTIONS["Which calls"]
    for figure in Faulty(RamStore(), FaultyOptions()).figures():
        assert f"`{figure}`" in SECTIONS["Which calls"]


def test_every_distribution_is_explained() -> None:
    for name in DISTRIBUTIONS:
        assert f"| `{name}` | " in SECTIONS["delay"]


def test_all_that_a_crash_tells_is_explained() -> None:
    made = Crash(RamStore(), Crash.Options())
    made.write(0, b"x")
    figures, report = made.figures(), made.crash(Cut())
    told = {*figures, *figures["initiators"]["unknown"], *report, *report["initiators"]["unknown"]}
    assert [field for field in told if f"`{field}`" not in SECTIONS["crash"]] == []


def test_all_that_a_cache_tells_is_explained() -> None:
    made = FILTERS["cache"]
    assert all(f"`{figure}`" in SECTIONS["cache"] for figure in made(RamStore(), made.Options()).figures())


@pytest.mark.parametrize("name", FILTERS)
def test_there_is_an_example(name: str) -> None:
    assert any(example["type"] == name for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.get("name", example["type"]))
def test_an_example_is_accepted(example: dict[str, Any]) -> None:
    keys = {key: value for key, value in example.items() if key not in ("type", "name")}
    options = FILTERS[example["type"]].Options(**keys)
    assert options.model_fields_set == set(keys)
