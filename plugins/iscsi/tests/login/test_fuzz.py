"""Whatever comes, a login answers with events and lets nobody in by accident."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from tgtcore_iscsi.chap import ChapAccount
from tgtcore_iscsi.initiator.pdu import login_request
from tgtcore_iscsi.keys import KEYS
from tgtcore_iscsi.login.events import LoginFailed, Send, SessionWanted
from tgtcore_iscsi.login.machine import Login, State
from tgtcore_iscsi.login.policy import Admission, Candidate, Refusal
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.text import encode_pairs

NAMES = [*KEYS, "X-com.example", "a"]
WORDS = ["Yes", "No", "None", "CRC32C,None", "CHAP,None", "512", "0x400", "5,7", "0b", "Reject", "Discovery", "", "%s"]
ADDRESSED = [("InitiatorName", "iqn.2004-01.com.example:host"), ("TargetName", "iqn.2004-01.com.example:disk")]


class Everything:
    """Has every target, and only accounts that nobody knows the secrets of."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission

    def find_target(self, candidate: Candidate) -> Admission | Refusal:
        return self.admission

    def session_for(self, candidate: Candidate) -> Parameters | Refusal:
        return Parameters() if candidate.tsih & 1 else Refusal(LoginStatus.SESSION_DOES_NOT_EXIST, "no session")

    def credentials(self, candidate: Candidate, admission: Admission, chap_name: str) -> ChapAccount | None:
        return ChapAccount(b"unknown to the peer")

    def authorize(self, candidate: Candidate, admission: Admission, chap_name: str | None) -> bool:
        return True


@st.composite
def requests(draw: DrawFn, *, first: bool) -> tuple[bytes, bytes]:
    """Return header and text of a request that is mostly right."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=draw(st.booleans()), max_size=6))
    pairs = [(name, draw(st.sampled_from(WORDS) | st.text(max_size=20))) for name in names]
    text = encode_pairs((ADDRESSED if first and draw(st.integers(0, 9)) else []) + pairs)
    if not draw(st.integers(0, 9)):
        text = draw(st.binary(max_size=100))
    flags = draw(st.sampled_from([0x00, 0x04, 0x81, 0x83, 0x87, 0x40, 0x44]) | st.integers(0, 255))
    return login_request(text, flags=flags, tsih=draw(st.sampled_from([0] * 8 + [1, 2])))[:48], text


@st.composite
def conversations(draw: DrawFn) -> list[tuple[bytes, bytes]]:
    return [draw(requests(first=number == 0)) for number in range(draw(st.integers(1, 6)))]


def run(login: Login, conversation: list[tuple[bytes, bytes]]) -> list[Any]:
    events: list[Any] = []
    for header, data in conversation:
        if login.state in (State.OVER, State.SEAT):
            break
        events += login.receive(header, data)
    return events


ADMISSIONS = st.sampled_from(
    [
        Admission(auth_methods=("None",)),
        Admission(auth_methods=("CHAP", "None")),
        Admission(auth_methods=("None",), offer=Offer(header_digest=("CRC32C",))),
    ]
)


@pytest.mark.fuzz
@given(conversation=conversations(), admission=ADMISSIONS)
def test_logins_end_in_one_outcome(conversation: list[tuple[bytes, bytes]], admission: Admission) -> None:
    login = Login(Everything(admission))
    events = run(login, conversation)
    assert all(isinstance(event, Send) and len(event.pdu) <= 48 + 8192 for event in events[:-1])
    last = events[-1]
    assert isinstance(last, {State.OVER: LoginFailed, State.SEAT: SessionWanted}.get(login.state, Send))
    if isinstance(last, LoginFailed):
        assert last.message.isprintable()
    if isinstance(last, SessionWanted) and admission.offer.header_digest == ("CRC32C",):
        assert last.parameters.has_header_digest
    asked, answered = (sum(len(data) for _, data in conversation), sum(len(e.pdu) for e in events[:-1]))
    assert answered <= 4 * asked + 200 * len(conversation)


@pytest.mark.fuzz
@given(conversation=conversations())
def test_nobody_gets_past_chap_without_the_secret(conversation: list[tuple[bytes, bytes]]) -> None:
    login = Login(Everything(Admission()))
    assert not any(isinstance(event, SessionWanted) for event in run(login, conversation))


@pytest.mark.fuzz
@given(pdus=st.lists(st.tuples(st.binary(min_size=48, max_size=48), st.binary(max_size=200)), min_size=1, max_size=4))
def test_random_bytes_make_events(pdus: list[tuple[bytes, bytes]]) -> None:
    login = Login(Everything(Admission(auth_methods=("None",))))
    assert run(login, pdus)
    as_logins = [(b"\x43" + header[1:], data) for header, data in pdus]
    assert run(Login(Everything(Admission(auth_methods=("None",)))), as_logins)
