"""Every hook has its heading, with its arguments, on the page of hooks; and every heading has its hook."""

import inspect
import re
from pathlib import Path

from tgtcore import hookspecs

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "hooks.md"


def signatures() -> set[str]:
    hooks = {name: getattr(hookspecs, name) for name in dir(hookspecs) if name.startswith("tgt_")}
    return {f"{name}({', '.join(inspect.signature(hook).parameters)})" for name, hook in hooks.items()}


def test_headings_and_hooks_agree() -> None:
    headings = set(re.findall(r"^## `(tgt_\w+\([\w, ]*\))`$", PAGE.read_text(), re.MULTILINE))
    assert headings == signatures()


def test_every_hook_has_a_docstring() -> None:
    for signature in signatures():
        assert inspect.getdoc(getattr(hookspecs, signature.partition("(")[0])), signature
