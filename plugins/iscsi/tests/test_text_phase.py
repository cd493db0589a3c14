"""Text requests of the full feature phase: answers short and long, and requests out of order."""

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.discovery import TargetRecord
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.keys import KEYS
from tgtcore_iscsi.parameters import Parameters
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, TEXT_CONTINUE, RejectReason
from tgtcore_iscsi.text import Pairs, encode_pairs, parse_pairs
from tgtcore_iscsi.text_phase import TextPhase

PORTALS = ((Address("10.0.0.1", 3260), 1),)
MANY = [TargetRecord(f"iqn.2004-01.com.example:disk{number}", PORTALS) for number in range(2000)]


def find(name: str) -> Iterable[TargetRecord]:
    return (record for record in MANY if name in ("", record.name))


def phase(piece: int = 8192, session_target: str = "") -> TextPhase:
    return TextPhase(Parameters(max_send_data_segment_length=piece), find, session_target=session_target)


def ask(phase: TextPhase, *pairs: tuple[str, str]) -> Pairs:
    """Send one whole request, expect one whole answer."""
    flags, ttt, data = phase.receive(FINAL, 1, NO_TAG, encode_pairs(pairs))
    assert (flags, ttt) == (FINAL, NO_TAG)
    return parse_pairs(data)


def test_one_target() -> None:
    assert ask(phase(), ("SendTargets", MANY[7].name)) == [
        ("TargetName", MANY[7].name),
        ("TargetAddress", "10.0.0.1:3260,1"),
    ]


def test_own_target_in_a_normal_session() -> None:
    name = MANY[3].name
    assert ask(phase(session_target=name), ("SendTargets", ""))[0] == ("TargetName", name)
    assert ask(phase(session_target=name), ("SendTargets", "All")) == [("SendTargets", "Reject")]


@pytest.mark.parametrize("piece", [512, 8192, 2**24 - 1])
@pytest.mark.parametrize("flags", [FINAL, 0])
def test_many_targets_come_in_pieces(piece: int, flags: int) -> None:
    text = phase(piece)
    answer = text.receive(flags, 1, NO_TAG, b"SendTargets=All\0")
    collected, tag = answer.data, answer.ttt
    while answer.flags & TEXT_CONTINUE:
        assert answer.flags == TEXT_CONTINUE
        assert answer.ttt == tag != NO_TAG
        assert len(answer.data) == min(piece, 65536)
        answer = text.receive(flags, 1, tag, b"")
        collected += answer.data
    assert answer.flags == flags
    assert (answer.ttt == NO_TAG) == bool(flags)
    assert [value for name, value in parse_pairs_unbounded(collected) if name == "TargetName"] == [
        record.name for record in MANY
    ]


def parse_pairs_unbounded(text: bytes) -> Iterator[tuple[str, str]]:
    for item in text.split(b"\0")[:-1]:
        name, _, value = item.decode().partition("=")
        yield name, value


def test_request_in_pieces() -> None:
    text = phase()
    flags, tag, data = text.receive(TEXT_CONTINUE, 1, NO_TAG, b"SendTar")
    assert (flags, data) == (0, b"")
    assert text.receive(FINAL, 1, tag, b"gets=iqn.2004-01.com.example:none\0") == (FINAL, NO_TAG, b"")


def test_negotiation_that_the_initiator_leaves_open() -> None:
    text = phase()
    flags, tag, data = text.receive(0, 1, NO_TAG, b"X-a=1\0")
    assert (flags, data) == (0, b"X-a=NotUnderstood\0")
    assert text.receive(FINAL, 1, tag, b"X-b=1\0") == (FINAL, NO_TAG, b"X-b=NotUnderstood\0")


def test_late_declaration() -> None:
    text = phase()
    assert ask(text, ("MaxRecvDataSegmentLength", "65536"), ("InitiatorAlias", "me")) == []
    assert text.parameters == Parameters(max_send_data_segment_length=65536)
    assert ask(text, ("MaxRecvDataSegmentLength", "512")) == []
    assert text.parameters.max_send_data_segment_length == 512


def test_empty_request() -> None:
    assert ask(phase()) == []


@pytest.mark.parametrize("tag", [0, 1, 2, 0xFFFFFFFE])
def test_tag_never_issued(tag: int) -> None:
    with pytest.raises(RemoteProtocolError, match="belongs to no negotiation") as caught:
        phase().receive(FINAL, 1, tag, b"")
    assert caught.value.reason is RejectReason.INVALID_PDU_FIELD


def test_tag_of_another_task_and_tag_used_up() -> None:
    text = phase()
    tag = text.receive(0, 1, NO_TAG, b"").ttt
    with pytest.raises(RemoteProtocolError, match="ITT 0x2 belongs to no negotiation"):
        text.receive(FINAL, 2, tag, b"")
    with pytest.raises(RemoteProtocolError, match="belongs to no negotiation"):
        text.receive(FINAL, 1, tag, b"")


def test_a_new_negotiation_forgets_the_old_one() -> None:
    text = phase(512)
    old = text.receive(FINAL, 1, NO_TAG, b"SendTargets=All\0").ttt
    new = text.receive(FINAL, 1, NO_TAG, b"SendTargets=All\0").ttt
    assert old != new
    with pytest.raises(RemoteProtocolError, match="belongs to no negotiation"):
        text.receive(FINAL, 1, old, b"")


@pytest.mark.parametrize(
    ("flags", "data", "says"),
    [
        (FINAL | TEXT_CONTINUE, b"A=1\0", "F and C bits"),
        (TEXT_CONTINUE, b"", "without data"),
        (FINAL, b"SendTargets", "has no '='"),
        (FINAL, b"SendTargets=All\0SendTargets=All\0", "came twice"),
        (FINAL, b"SendTargets=" + b"x" * 8193, "8192 at most"),
        (FINAL, b"MaxBurstLength=512\0", "no place in the full_feature stage"),
        (FINAL, b"HeaderDigest=None\0", "no place in the full_feature stage"),
        (FINAL, b"AuthMethod=None\0", "no place in the full_feature stage"),
        (FINAL, b"InitiatorName=iqn.2004-01.com.example\0", "no place in the full_feature stage"),
        (FINAL, b"TargetAddress=127.0.0.1\0", "the target's to send"),
        (FINAL, b"MaxRecvDataSegmentLength=1\0", "is not a number from 512"),
        (FINAL, b"a=Reject\0", "reserved value"),
        (FINAL, b"".join(b"a%d=b\0" % number for number in range(33)), "not understood"),
    ],
)
def test_refused(flags: int, data: bytes, says: str) -> None:
    text = phase()
    with pytest.raises(RemoteProtocolError, match=says) as caught:
        text.receive(flags, 1, NO_TAG, data)
    assert caught.value.reason is RejectReason.PROTOCOL_ERROR
    assert ask(text, ("SendTargets", MANY[0].name))


def test_text_before_the_answer_was_fetched() -> None:
    text = phase(512)
    tag = text.receive(FINAL, 1, NO_TAG, b"SendTargets=All\0").ttt
    with pytest.raises(RemoteProtocolError, match="before the last answer"):
        text.receive(FINAL, 1, tag, b"SendTargets=All\0")


def test_negotiation_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore_iscsi.text_phase.TEXT_REQUESTS_MAX", 10)
    text = phase()
    tag = text.receive(0, 1, NO_TAG, b"").ttt
    for _ in range(9):
        text.receive(0, 1, tag, b"")
    with pytest.raises(RemoteProtocolError, match="more than 10 requests"):
        text.receive(0, 1, tag, b"")


REQUESTS = st.tuples(
    st.sampled_from([0, FINAL, TEXT_CONTINUE]) | st.integers(0, 255),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([NO_TAG, 1, 2]),
    st.lists(st.tuples(st.sampled_from([*KEYS, "a"]), st.sampled_from(["All", "", "512", "Yes"])), max_size=4).map(
        encode_pairs
    )
    | st.binary(max_size=40),
)


@pytest.mark.fuzz
@given(requests=st.lists(REQUESTS, min_size=1, max_size=8))
def test_random_requests_raise_only_protocol_errors(requests: list[tuple[int, int, int, bytes]]) -> None:
    text = phase(512)
    for request in requests:
        try:
            answer = text.receive(*request)
        except RemoteProtocolError:
            continue
        assert len(answer.data) <= 512
        assert bool(answer.flags & FINAL) == (answer.ttt == NO_TAG)
        assert not answer.flags & FINAL or request[0] & FINAL
