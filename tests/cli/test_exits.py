"""Errors become messages and exit statuses."""

import json

import pytest

from tgtcore.cli.exits import reported
from tgtcore.errors import ConfigError, PluginError
from tgtcore.management.protocol import Code, VerbError

CASES = [
    (ConfigError("one", "two"), 2, ["one", "two"]),
    (PluginError("broken"), 3, ["broken"]),
    (VerbError(Code.BUSY, "in use"), 5, ["in use"]),
    (OSError(28, "No space left on device", "/x"), 1, ["/x: no space left on device"]),
    (PermissionError(13, "Permission denied", "/x"), 7, ["/x: permission denied"]),
]


@pytest.mark.parametrize(("error", "status", "problems"), CASES)
def test_an_error_is_one_line_for_each_problem(
    error: Exception, status: int, problems: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, reported():
        raise error
    assert caught.value.code == status
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [f"tgtd: {problem}" for problem in problems]
    assert captured.out == ""


def test_programs_get_the_error_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), reported(as_json=True):
        raise ConfigError("one", "two")
    assert json.loads(capsys.readouterr().out) == {
        "error": {"code": "config", "message": "one\ntwo", "problems": ["one", "two"]}
    }


def test_defects_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), reported():
        raise ZeroDivisionError
