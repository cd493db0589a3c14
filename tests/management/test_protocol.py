"""Lines of the management protocol."""

import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.errors import ConfigError, DrainTimeout, PluginError, StoreError
from tgtcore.management.protocol import (
    Code,
    Request,
    VerbError,
    code_of,
    error_line,
    parse_message,
    parse_request,
    request_line,
    result_of,
    result_pieces,
)

MALFORMED = [
    b"",
    b"\n",
    b"not json\n",
    b"[]\n",
    b"3\n",
    b"{}\n",
    b'{"version": 2, "verb": "show"}\n',
    b'{"version": 1}\n',
    b'{"version": 1, "verb": 3}\n',
    b'{"version": 1, "verb": "show", "arguments": []}\n',
    b'{"version": 1, "verb": "show", "id": "x"}\n',
    b'{"version": 1, "verb": "\xff"}\n',
    b"[" * 100_000 + b"\n",
    b'{"version":' + b"9" * 10_000 + b"}\n",
]


def test_requests_and_results_read_back_as_they_were() -> None:
    request = Request("lun list", {"target": "x"}, 7)
    assert parse_request(request_line(request)) == request
    assert result_of(parse_message("".join(result_pieces(7, [1, {"a": None}])).encode())) == [1, {"a": None}]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON, st.integers(1, 3))
def test_an_answer_in_pieces_is_the_same_answer(result: Any, at_once: int) -> None:
    with mock.patch("tgtcore.management.protocol._ELEMENTS_AT_ONCE", at_once):
        line = "".join(result_pieces(7, result))
    assert line == json.dumps({"version": 1, "id": 7, "result": result}, separators=(",", ":")) + "\n"


def test_no_piece_of_a_long_answer_is_long() -> None:
    rows = [{"name": f"d{number}", "luns": ["x"]} for number in range(1000)]
    assert max(map(len, result_pieces(7, {"logical_units": rows, "by name": dict(enumerate(rows))}))) < 50


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_requests_are_refused(line: bytes) -> None:
    with pytest.raises(VerbError) as caught:
        parse_request(line)
    assert caught.value.code is Code.PROTOCOL


@pytest.mark.parametrize("line", [b"", b"x\n", b"[]\n", b"3\n"])
def test_malformed_responses_are_refused(line: bytes) -> None:
    with pytest.raises(VerbError, match="the daemon's answer is not understood"):
        result_of(parse_message(line))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x", "y"), Code.CONFIG),
        (PluginError("x"), Code.PLUGIN),
        (DrainTimeout("x"), Code.BUSY),
        (StoreError("x"), Code.FAILED),
        (VerbError(Code.NOT_FOUND, "x"), Code.NOT_FOUND),
        (PermissionError(13, "x"), Code.NOT_PERMITTED),
    ],
)
def test_every_error_keeps_its_code_and_problems_on_the_way(error: Exception, code: Code) -> None:
    assert code_of(error) is code
    with pytest.raises(VerbError) as caught:
        result_of(parse_message(error_line(3, error)))
    assert caught.value.code is code
    assert caught.value.problems == tuple(getattr(error, "problems", (str(error),)))


def test_exit_statuses_are_distinct() -> None:
    assert sorted(code.exit_status for code in Code) == [*range(1, 9), 130]
    assert json.loads(error_line(0, ConfigError("x")))["error"]["code"] == "config"


def test_half_a_surrogate_pair_is_no_text() -> None:
    whole = b'{"version": 1, "verb": "show", "arguments": {"a": "\\ud83d\\ude00"}}'
    assert parse_request(whole).arguments == {"a": "\N{GRINNING FACE}"}
    with pytest.raises(VerbError, match="expected one JSON object"):
        parse_request(whole.replace(b"\\ude00", b""))
