"""Log lines."""

import json
import logging

import pytest

from tgtcore.cli.logs import JsonFormatter, set_up_logging


def test_json_lines_carry_everything() -> None:
    try:
        raise ValueError("inside")
    except ValueError as error:
        record = logging.LogRecord(
            "a.b", logging.ERROR, __file__, 1, "it %s\nbadly", ("failed",), (ValueError, error, error.__traceback__)
        )
    line = JsonFormatter().format(record)
    found = json.loads(line)
    assert "\n" not in line
    assert (found["level"], found["logger"], found["message"]) == ("error", "a.b", "it failed\nbadly")
    assert found["time"].endswith("Z")
    assert "ValueError: inside" in found["traceback"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_lines_go_to_standard_error(
    style: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        set_up_logging("warning", style)
        logging.getLogger("some").warning("seen")
        logging.getLogger("some").info("unseen")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "seen" in captured.err
    assert captured.err.startswith("{") is (style == "json")
