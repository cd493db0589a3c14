"""The examples of the manual page do what they say, and its tables name what there is."""

import importlib
import re
from pathlib import Path

import tgtcore_srp

PAGE = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_examples_run() -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert names["answers"]


def test_every_module_of_the_codec_has_its_line() -> None:
    folder = Path(tgtcore_srp.__file__).parent / "iu"
    named = set(re.findall(r"^\| `iu\.(\w+)` \|", PAGE, re.MULTILINE))
    assert named == {path.stem for path in folder.glob("*.py")} - {"__init__", "errors", "header"}


def test_what_is_named_exists() -> None:
    dotted = re.findall(r"`([a-z]+(?:\.[a-z]+)*\.[A-Z]\w+)`", PAGE)
    assert len(dotted) > 5
    for name in dotted:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(f"tgtcore_srp.{module}"), attribute)
