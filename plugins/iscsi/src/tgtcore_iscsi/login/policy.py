"""Who may log in to what: the questions that a login asks, and the forms of their answers.

A login knows the protocol and nothing of targets, accounts or sessions; those are behind :class:`LoginPolicy`.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from tgtcore_iscsi.chap import PREFERENCE, ChapAccount
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import LoginStatus

CHAP = "CHAP"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who asks for what, from the first request of a login.  Names are in canonical form.

    :ivar target_name: empty for a discovery session.
    :ivar tsih: 0 for a new session (or the reinstatement of one), else the session whose connection this is.
    """

    initiator_name: str
    target_name: str
    isid: bytes
    tsih: int
    cid: int
    initiator_alias: str = ""

    @property
    def discovery(self) -> bool:
        """Whether this is a discovery session."""
        return not self.target_name


@dataclass(frozen=True, slots=True)
class Admission:
    """A target (or discovery) that a candidate may try to log in to.

    :ivar target: the policy's own, handed back with the other questions and with the result.
    :ivar portal_group_tag: of the portal that the connection came through; not used in discovery.
    :ivar auth_methods: ``("CHAP",)`` demands CHAP, ``("None",)`` refuses it, both leave the choice to the initiator.
    :ivar chap_algorithms: allowed ones, the preferred first, numbers of :data:`tgtcore_iscsi.chap.ALGORITHMS`.
    """

    target: Any = None
    portal_group_tag: int = 1
    alias: str = ""
    auth_methods: tuple[str, ...] = (CHAP,)
    chap_algorithms: tuple[int, ...] = PREFERENCE
    offer: Offer = field(default_factory=Offer)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a login ends here.

    :ivar address: for TARGET_MOVED_TEMPORARILY and TARGET_MOVED_PERMANENTLY, ``host:port`` of the portal to go to.
    """

    status: LoginStatus
    message: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of a connection in its session, given when everything else is settled."""

    tsih: int
    exp_cmd_sn: int
    max_cmd_sn: int


class LoginPolicy(Protocol):
    """The decisions of a login; each is asked at most once per login unless it says otherwise."""

    def find_target(self, candidate: Candidate) -> Admission | Refusal:
        """Return what the candidate wants, before it has proved anything; NOT_FOUND and redirection belong here."""

    def session_for(self, candidate: Candidate) -> Parameters | Refusal:
        """Return the agreed values of the session that ``candidate.tsih`` (not 0) names.

        SESSION_DOES_NOT_EXIST, CANNOT_INCLUDE_IN_SESSION and TOO_MANY_CONNECTIONS belong here.
        """

    def credentials(self, candidate: Candidate, admission: Admission, chap_name: str) -> ChapAccount | None:
        """Return the account of a CHAP name, ``None`` if there is none for this target."""

    def authorize(self, candidate: Candidate, admission: Admission, chap_name: str | None) -> bool:
        """Tell whether the candidate may log in; anything but ``True`` refuses.

        :param chap_name: the name that was proved by CHAP, ``None`` without authentication.
        """
