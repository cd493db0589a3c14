"""Command lines made of the table of verbs."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from tgtcore.cli.verb_commands import add_verbs
from tgtcore.management.verbs import VERBS


@pytest.fixture
def called() -> tuple[click.Group, list[tuple[str, dict[str, Any]]]]:
    calls: list[tuple[str, dict[str, Any]]] = []
    main = click.Group("main")
    add_verbs(main, lambda verb, arguments: calls.append((verb.name, arguments)))
    return main, calls


CASES = [
    ("lun add t 5 unit", "lun add", {"target": "t", "lun": "5", "unit": "unit", "map": "0"}),
    ("lun list", "lun list", {}),
    ("lun list --target t", "lun list", {"target": "t"}),
    ("target drain t --deadline 5", "target drain", {"target": "t", "deadline": "5", "force": False}),
    ("drain target t --deadline 5", "target drain", {"target": "t", "deadline": "5", "force": False}),
    ("reopen lun t 3", "lun reopen", {"target": "t", "lun": "3", "map": "0"}),
    ("holders plugin file", "plugin holders", {"name": "file"}),
    ("remove account a", "account remove", {"name": "a", "if_exists": False}),
    ("lu remove a --unmap", "lu remove", {"name": "a", "unmap": True, "force": False, "if_exists": False}),
    ("access set t --initiator a --initiator b", "access set", {"target": "t", "initiator": ["a", "b"]}),
    ("show", "show", {"detail": False}),
]


@pytest.mark.parametrize(("line", "verb", "arguments"), CASES)
def test_words_become_arguments(called: Any, line: str, verb: str, arguments: dict[str, Any]) -> None:
    main, calls = called
    result = CliRunner().invoke(main, line.split())
    assert result.exit_code == 0, result.output
    assert calls == [(verb, arguments)]


def test_the_folder_of_the_caller_goes_along(called: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    main, calls = called
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["lu", "add", "a", "store.path=x", "store.type=file"])
    assert result.exit_code == 0, result.output
    ((_, arguments),) = calls
    assert arguments == {
        "name": "a",
        "keys": ["store.path=x", "store.type=file"],
        "device_type": "disk",
        "cwd": str(tmp_path),
    }


def test_every_verb_is_a_command_with_help(called: Any) -> None:
    main, _ = called
    for name in set(VERBS) - {"apply", "diff", "filter play", "save"}:
        result = CliRunner().invoke(main, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert VERBS[name].help in " ".join(result.output.split())
