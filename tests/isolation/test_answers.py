"""What a driver tells for show, checked."""

import pytest

from tgtcore.errors import RingError
from tgtcore.isolation import answers
from tgtcore.nexus import TargetPort


def test_right_answers_are_understood() -> None:
    assert answers.PORTALS.parse(b'[{"address": "a", "group": 1}]')[0].address == "a"
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


def test_its_words_can_not_forge_lines_of_a_log() -> None:
    with pytest.raises(RingError) as refused:
        answers.URLS.parse(b'{"\\n2026 forged\\u001b[2J' + b"x" * 10_000 + b'": []}')
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "port",
    [
        TargetPort("n", 0, 1, 5),
        TargetPort("n", 65536, 1, 5),
        TargetPort("n", 1, 0, 5),
        TargetPort("n", 1, 65536, 5),
        TargetPort("n", 1, 1, 16),
        TargetPort("n", 1, 1, -1),
        TargetPort("", 1, 1, 5),
        TargetPort("n" * 300, 1, 1, 5),
    ],
)
def test_ports_that_can_not_be_are_refused(port: TargetPort) -> None:
    with pytest.raises(RingError, match="there can be no target port"):
        answers.checked(port)


def test_ports_that_can_be_are_taken() -> None:
    port = TargetPort("iqn.2025-01.example:t,t,0x0001", 65535, 65535, 15)
    assert answers.checked(port) is port
