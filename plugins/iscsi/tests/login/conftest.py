"""A login told as a play: what the initiator says, what it hears."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tgtcore_iscsi.chap import ChapAccount
from tgtcore_iscsi.initiator.pdu import login_request, login_status, parse_response
from tgtcore_iscsi.login.events import Event, LoginDone, LoginFailed, Send, SessionWanted
from tgtcore_iscsi.login.machine import Login
from tgtcore_iscsi.login.policy import Admission, Candidate, Refusal, Seat
from tgtcore_iscsi.parameters import Parameters
from tgtcore_iscsi.pdu.codes import LOGIN_CONTINUE, LOGIN_TRANSIT, LoginStatus
from tgtcore_iscsi.text import encode_pairs, parse_pairs

DISK = "iqn.2004-01.com.example:disk"
HOST = "iqn.2004-01.com.example:host"


class Policy:
    """Answers from its attributes, and keeps what it was asked."""

    def __init__(self) -> None:
        self.targets: dict[str, Admission | Refusal] = {
            DISK: Admission("disk", auth_methods=("None",)),
            "": Admission(auth_methods=("None",)),
        }
        self.accounts: Mapping[str, ChapAccount] = {}
        self.sessions: dict[int, Parameters] = {}
        self.allowed: Any = True
        self.asked: list[str] = []

    def find_target(self, candidate: Candidate) -> Admission | Refusal:
        self.asked.append("find_target")
        return self.targets.get(candidate.target_name) or Refusal(LoginStatus.NOT_FOUND, "no such target")

    def session_for(self, candidate: Candidate) -> Parameters | Refusal:
        self.asked.append("session_for")
        return self.sessions.get(candidate.tsih) or Refusal(LoginStatus.SESSION_DOES_NOT_EXIST, "no such session")

    def credentials(self, candidate: Candidate, admission: Admission, chap_name: str) -> ChapAccount | None:
        self.asked.append(f"credentials {chap_name}")
        return self.accounts.get(chap_name)

    def authorize(self, candidate: Candidate, admission: Admission, chap_name: str | None) -> bool:
        self.asked.append(f"authorize {chap_name}")
        answer: bool = self.allowed
        return answer


class Play:
    """One login.  ``says`` sends a request; the other methods judge what came of it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.login = Login(policy, stat_sn=100)
        self.stat_sn = 100
        self.events: list[Event] = []

    def says(
        self, *text: tuple[str, str] | bytes, csg: int = 1, nsg: int | None = None, more: bool = False, **header: Any
    ) -> "Play":
        data = b"".join(item if isinstance(item, bytes) else encode_pairs([item]) for item in text)
        flags = csg << 2 | (0 if nsg is None else LOGIN_TRANSIT | nsg) | (LOGIN_CONTINUE if more else 0)
        self.last = login_request(data, **({"flags": flags, "itt": 5, "cmd_sn": 7} | header))
        self.events = self.login.receive(self.last[:48], data)
        return self

    def begins(self, *text: tuple[str, str] | bytes, target: str = DISK, **header: Any) -> "Play":
        return self.says(("InitiatorName", HOST), ("TargetName", target), *text, **header)

    def response(self) -> Any:
        """Take the next event, which must be a PDU, and return its fields and data."""
        event = self.events.pop(0)
        assert isinstance(event, Send), event
        response = parse_response(event.pdu)
        assert response.fields.itt == 5
        assert response.fields.stat_sn == self.stat_sn
        self.stat_sn += 1
        return response

    def hears(self, *pairs: tuple[str, str], csg: int = 1, nsg: int | None = None) -> "Play":
        response = self.response()
        assert not self.events
        assert login_status(response.fields) is LoginStatus.SUCCESS
        assert response.fields.flags == csg << 2 | (0 if nsg is None else LOGIN_TRANSIT | nsg)
        assert parse_pairs(response.data) == list(pairs)
        return self

    def hears_keys(self) -> dict[str, str]:
        """Take one answer and return its keys."""
        return dict(parse_pairs(self.response().data))

    def wants_session(self) -> SessionWanted:
        [event] = self.events
        assert isinstance(event, SessionWanted), event
        return event

    def granted(self, tsih: int = 9) -> LoginDone:
        """Grant the session and return the outcome; the last response stays in ``events``."""
        assert self.wants_session()
        send, done = self.login.grant(Seat(tsih, 7, 70))
        assert isinstance(done, LoginDone)
        self.events = [send]
        return done

    def fails(self, status: LoginStatus, says: str = "") -> None:
        response = self.response()
        assert login_status(response.fields) is status
        assert not response.fields.flags & LOGIN_TRANSIT
        [failed] = self.events
        assert isinstance(failed, LoginFailed)
        assert failed.status is status
        assert says in failed.message
        assert failed.message.isprintable()


@pytest.fixture
def policy() -> Policy:
    return Policy()


@pytest.fixture
def play(policy: Policy) -> Play:
    return Play(policy)


@pytest.fixture
def new_play(policy: Policy) -> Callable[[], Play]:
    """Further logins with the same policy."""
    return lambda: Play(policy)
