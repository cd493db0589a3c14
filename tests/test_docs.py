"""The documents say what the code says: tables, keys, configurations, command lines and links."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import tgtcore.cli.tgtadm
import tgtcore.cli.tgtd
from tgtcore import signals
from tgtcore.cli.exits import INTERRUPTED, TERMINATED
from tgtcore.config import parse
from tgtcore.config.models import (
    AccountOptions,
    AllowKeys,
    DaemonOptions,
    FilterKeys,
    LogicalUnitKeys,
    PrivateLunsKeys,
    SnapshotKeys,
    TargetKeys,
)
from tgtcore.daemon import load_source
from tgtcore.errors import PluginError
from tgtcore.management.plans import PlanKeys, StepKeys
from tgtcore.management.protocol import Code
from tgtcore.management.verbs import VERBS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(
    [
        *(path for path in DOCS.rglob("*.md") if "_build" not in path.parts),
        *ROOT.glob("*.md"),
        *ROOT.glob("contrib/**/README.md"),
        *(path for path in ROOT.glob("plugins/**/README.md") if ".venv" not in path.parts),
    ]
)
PROGRAMS = {"tgtd": tgtcore.cli.tgtd.main, "tgtadm": tgtcore.cli.tgtadm.main}
OTHERS_PLUGINS = {"acme-raw", "acme-zero", "chunks", "hiccup", "lines", "mailbox"}
"""Plugins that pages write or install; the tests of those pages use them."""


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


def fences(path: Path, language: str) -> Iterator[str]:
    for found in re.finditer(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        yield found[1]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


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
    [DaemonOptions, AccountOptions, LogicalUnitKeys, SnapshotKeys, FilterKeys, TargetKeys, AllowKeys, PrivateLunsKeys],
    ids=lambda model: model.__name__,
)
def test_every_key_of_the_core_is_explained(model: type[DaemonOptions]) -> None:
    for key in model.model_fields:
        assert f"| `{key}` | " in page("config.md")


@pytest.mark.parametrize("model", [PlanKeys, StepKeys], ids=lambda model: model.__name__)
def test_every_key_of_a_plan_is_explained(model: type[PlanKeys]) -> None:
    for key in model.model_fields:
        assert f"| `{key}` | " in page("plans.md")


def test_every_option_of_tgtd_is_explained() -> None:
    for command in (tgtcore.cli.tgtd.main, tgtcore.cli.tgtd.serve):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.opts[0] != "--version":
                assert f"{parameter.opts[0]}" in page("tgtd.md")


def test_no_cell_of_a_table_is_without_a_meaning() -> None:
    for path in REFERENCE.glob("*.md"):
        empty = [line for line in path.read_text().splitlines() if line.startswith("| `") and line.endswith("|  |")]
        assert empty == [], path.name


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), target
    for target in re.findall(r"^```\{(?:include|literalinclude)\} (\S+)", path.read_text(), re.MULTILINE):
        assert (path.parent / target).is_file(), target


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = {"index", "reference/index"}
    for folder, index in ((DOCS, DOCS / "index.md"), (REFERENCE, REFERENCE / "index.md")):
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", index.read_text(), re.MULTILINE | re.DOTALL):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {str((folder / entry).relative_to(DOCS)) for entry in entries}
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in PAGES if path.is_relative_to(DOCS)}
    assert listed == pages


CONFIGS = [
    (path, text) for path in PAGES for text in fences(path, "toml") if re.search(r"^plugins = ", text, re.MULTILINE)
]


@pytest.mark.parametrize(("path", "text"), CONFIGS, ids=[name_of(path) for path, _ in CONFIGS])
def test_every_configuration_that_is_shown_is_accepted(path: Path, text: str, tmp_path: Path) -> None:
    for name in re.findall(r'secret_file = "([^"]+)"', text):
        (tmp_path / name).write_text("a-secret-of-somebody")
        (tmp_path / name).chmod(0o600)
    source = parse(text.encode(), tmp_path, path.name)
    try:
        _, config = load_source(source)
    except PluginError:
        assert OTHERS_PLUGINS & set(source.document["plugins"])
    else:
        assert config.plugins == tuple(source.document["plugins"])


COMMANDS = [
    (path, line.removeprefix("$ "))
    for path in PAGES
    for text in fences(path, "console")
    for line in text.splitlines()
    if re.match(r"\$ (tgtd|tgtadm) ", line)
]


@pytest.mark.parametrize(("path", "line"), COMMANDS, ids=[f"{name_of(path)}: {line}" for path, line in COMMANDS])
def test_every_command_line_that_is_shown_exists(path: Path, line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    command: click.Command = PROGRAMS[program]
    parent: click.Context | None = None
    while True:
        context = command.make_context(program, list(words), parent=parent)
        if not isinstance(command, click.Group) or not context._protected_args:
            break
        words = [*context._protected_args, *context.args]
        _, found, words = command.resolve_command(context, words)
        assert found is not None, f"{path.name}: {line}"
        command, parent = found, context
    assert context.command.callback is not None
