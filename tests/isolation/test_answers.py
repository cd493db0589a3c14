"""What a driver tells for show, checked."""

import json
from typing import Any

import pytest

from tgtcore.errors import RingError
from tgtcore.isolation import answers
from tgtcore.nexus import TargetPort
from tgtcore.transport import PortalInfo


def test_right_answers_are_understood() -> None:
    (portal,) = answers.PORTALS.parse(b'[{"address": "a", "group": 1, "configured": "b"}]')
    assert portal.info() == PortalInfo("a", 1, configured="b")
    session = b'[{"id": "1", "target": "t", "initiator": "i", "address": "a", "tasks": 0, "details": {"x": [1]}}]'
    assert answers.SESSIONS.parse(session)[0].details == {"x": [1]}
    assert answers.URLS.parse(b'{"0": ["iscsi://"]}') == {0: ["iscsi://"]}
    port = b'{"name": "n", "relative_id": 1, "group": 1, "protocol": 5}'
    assert answers.PORTS.parse(b'{"7": [' + port + b"]}") == {7: [TargetPort("n", 1, 1, 5)]}
    assert answers.STATISTICS.parse(b'{"a": {"b": 1}}') == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"null", b"[1]", b'"x"', b"[" * 100_000, b"\xff", b'[{"address": 5}]', b"1" * 9999]
)
@pytest.mark.parametrize(
    "shown",
    [answers.PORTALS, answers.SESSIONS, answers.STATISTICS, answers.URLS, answers.PORTS],
    ids=lambda one: one.name,
)
def test_wrong_answers_are_refused_in_words(shown: "answers.Shown[object]", answer: bytes) -> None:
    with pytest.raises(RingError, match=f"its answer about {shown.name} can't be"):
        shown.parse(answer)


PORT = {"name": "n", "relative_id": 1, "group": 1, "protocol": 5}
SESSION = {"id": "1", "target": "t", "initiator": "i", "address": "a", "tasks": 0}


@pytest.mark.parametrize(
    ("shown", "most"),
    [
        (answers.PORTALS, [{"address": "a", "group": 1}] * 256),
        (answers.SESSIONS, [SESSION] * 16384),
        (answers.PORTS, {1: [PORT] * 256}),
        (answers.SESSIONS, [{**SESSION, "initiator": "x" * 300}]),
        (answers.PORTALS, [{"address": "x" * 300, "group": 1}]),
    ],
)
def test_answers_are_bounded_in_number_and_in_length(shown: "answers.Shown[Any]", most: Any) -> None:
    assert shown.parse(json.dumps(most).encode())
    more = json.dumps(most).replace("xx", "xxx", 1)
    if more == json.dumps(most):
        more = json.dumps({1: most[1] * 2} if isinstance(most, dict) else most * 2)
    with pytest.raises(RingError, match=r"its answer about \w+ can't be: .*at most"):
        shown.parse(more.encode())


def test_what_it_shows_can_not_move_a_cursor() -> None:
    (session,) = answers.SESSIONS.parse(json.dumps([{**SESSION, "id": "\x1b[2J", "address": "a\nb"}]).encode())
    assert (session.id, session.address) == ("\\x1b[2J", "a\\nb")
    (portal,) = answers.PORTALS.parse(b'[{"address": "\\u001b[2J", "group": 1}]')
    assert portal.address == "\\x1b[2J"
    assert answers.URLS.parse(b'{"0": ["\\u001b[2J"]}') == {0: ["\\x1b[2J"]}


def test_its_words_can_not_forge_lines_of_a_log() -> None:
    with pytest.raises(RingError) as refused:
        answers.URLS.parse(b'{"\\n2026 forged\\u001b[2J' + b"x" * 10_000 + b'": []}')
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400
