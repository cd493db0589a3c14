"""Every hook is called somewhere in the tests of the core or of a first-party plugin, and by the core itself."""

from pathlib import Path

import pytest

from tgtcore import hookspecs

ROOT = Path(__file__).parent.parent
HOOKS = sorted(name for name in dir(hookspecs) if name.startswith("tgt_"))
CORE = "\n".join(path.read_text() for path in (ROOT / "tgtcore").rglob("*.py") if path.name != "hookspecs.py")
HERE = Path(__file__).name
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != HERE)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_core_calls_it(hook: str) -> None:
    assert hook in CORE


@pytest.mark.parametrize("hook", HOOKS)
def test_a_test_implements_it(hook: str) -> None:
    assert hook in TESTS
