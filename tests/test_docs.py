"""The reference pages say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

from tgtcore import signals
from tgtcore.cli.exits import INTERRUPTED, TERMINATED
from tgtcore.config.models import AccountOptions, AllowKeys, DaemonOptions, LogicalUnitKeys, PrivateLunsKeys, TargetKeys
from tgtcore.management.protocol import Code
from tgtcore.management.verbs import VERBS

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE = DOCS / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


def test_generated_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run python docs/generate.py"


@pytest.mark.parametrize("code", Code)
def test_every_exit_status_is_explained(code: Code) -> None:
    assert f"| {code.exit_status} | `{code.word}` | " in page("exit-codes.md")


def test_the_statuses_of_signals_are_explained() -> None:
    for status in (INTERRUPTED, TERMINATED):
        assert f"| {status} | | `tgtd`" in page("exit-codes.md")
        assert str(status) in page("signals.md")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", *signals.every_signal()])
def test_every_signal_is_explained(name: str) -> None:
    assert name in page("signals.md")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_explained(verb: str) -> None:
    assert f"### `{verb}`\n" in page("tgtadm.md")


@pytest.mark.parametrize(
    "model",
    [DaemonOptions, AccountOptions, LogicalUnitKeys, TargetKeys, AllowKeys, PrivateLunsKeys],
    ids=lambda model: model.__name__,
)
def test_every_key_of_the_core_is_explained(model: type[DaemonOptions]) -> None:
    for key in model.model_fields:
        assert f"| `{key}` | " in page("config.md")


def test_no_cell_of_a_table_is_without_a_meaning() -> None:
    for name in ("config.md", "limits.md", "tgtadm.md"):
        empty = [line for line in page(name).splitlines() if line.startswith("| `") and line.endswith("|  |")]
        assert empty == [], name


def test_links_between_pages_lead_somewhere() -> None:
    for path in REFERENCE.glob("*.md"):
        for word in path.read_text().split("](")[1:]:
            target = word.partition(")")[0].partition("#")[0]
            if target and "://" not in target:
                assert (path.parent / target).is_file(), f"{path.name}: {target}"
