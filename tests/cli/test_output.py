"""Results for people and for programs."""

import json

import pytest

from tgtcore.cli.output import show, size_text


def shown(capsys: pytest.CaptureFixture[str], result: object, *columns: str, as_json: bool = False) -> str:
    show(result, columns, as_json=as_json)
    return capsys.readouterr().out


ROWS = [
    {"name": "a [b]", "size_bytes": 1536 << 20, "luns": [], "on": True},
    {"name": "c", "size_bytes": None, "luns": [1, 2], "on": False},
]


def test_lists_are_tables(capsys: pytest.CaptureFixture[str]) -> None:
    head, _, first, second, *_ = [
        line.strip() for line in shown(capsys, ROWS, "name", "size_bytes", "luns", "on").splitlines() if line.strip()
    ]
    assert head.split() == ["name", "size", "bytes", "luns", "on"]
    assert first.split("  ")[0] == "a [b]"
    assert "1.50 GiB" in first
    assert second.split() == ["c", "-", "1,", "2", "no"]


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, []) == "nothing\n"
    assert json.loads(shown(capsys, [], as_json=True)) == []


def test_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, ROWS, "name", as_json=True)) == ROWS


def test_nested_data_are_indented_lines(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, {"a": 1, "b": {"bytes": 1024, "size_bytes": 2048, "rows": [{"x": None}]}, "none": []})
    assert text == "a: 1\nb:\n  bytes: 1.00 KiB\n  size_bytes: 2.00 KiB\n  rows:\n    x: -\nnone: -\n"


def test_rows_inside_a_result_are_tables(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, {"some_rows": [{"x": 1, "y": 2}], "a": 1, "none": []})
    head, none, blank, title, _, names, _, values, *_ = text.splitlines()
    assert (head, none, blank, title) == ("a: 1", "none: -", "", "some rows:")
    assert (names.split(), values.split()) == (["x", "y"], ["1", "2"])


def test_long_lists_have_an_entry_in_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, {"urls": ["x" * 60, "y" * 60]}) == f"urls:\n  {'x' * 60}\n  {'y' * 60}\n"
    assert shown(capsys, {"urls": ["x", "y"]}) == "urls: x, y\n"


def test_lists_in_lists_stay_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, {"ranges": [[0, 4096], [8192, 512]]}) == "ranges: [0, 4096], [8192, 512]\n"


def test_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "text") == "text\n"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (3 << 30, "3.00 GiB"), (5 << 40, "5.00 TiB")]
)
def test_sizes_have_units(size: int, text: str) -> None:
    assert size_text(size) == text


def test_nothing_that_a_peer_has_named_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    bad = "a\x1b[2J\r\n\x9bb"
    for result in ([{bad: bad}], {bad: {bad: [bad, 1]}}, {"rows": [{"x": bad}]}, [bad], {bad: [{bad: {bad: bad}}]}):
        text = shown(capsys, result)
        assert text.replace("\n", "").isprintable()
        assert "a?[2J" in text
    assert json.loads(shown(capsys, [{bad: bad}], as_json=True)) == [{bad: bad}]
    assert shown(capsys, [{bad: bad}], as_json=True).replace("\n", "").isprintable()
