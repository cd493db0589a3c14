"""Who may log in over iSCSI: the login's questions, answered from the configuration and by the core."""

from typing import TYPE_CHECKING

from tgtcore import Account, Host, InitiatorPort, Target, TargetPort
from tgtcore.scsi.transport_id import iscsi_transport_id
from tgtcore_iscsi.addresses import Address, parse_address
from tgtcore_iscsi.chap import ChapAccount
from tgtcore_iscsi.login.policy import CHAP, Admission, Candidate, Refusal
from tgtcore_iscsi.names import target_port_name
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions
from tgtcore_iscsi.parameters import Parameters
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.session import SessionKey

if TYPE_CHECKING:
    from tgtcore_iscsi.portals import Portal
    from tgtcore_iscsi.sessions import Sessions

PROTOCOL = 5
"""PROTOCOL IDENTIFIER of iSCSI (SPC-5 7.6.1)."""

_NO_AUTHENTICATION = ("None",)
_NUMBERS = {"MD5": 5, "SHA1": 6, "SHA-256": 7, "SHA3-256": 8}
"""IANA's numbers of the names in the configuration."""


def initiator_port(name: str, isid: bytes, peer: Address) -> InitiatorPort:
    """An initiator port: initiator name and ISID (RFC 7143 4.4.2)."""
    return InitiatorPort(name, iscsi_transport_id(name, isid), peer.host)


def target_port(target: Target, portal_group_tag: int) -> TargetPort:
    """A target port: target name and portal group tag (RFC 7143 4.4.2)."""
    return TargetPort(target_port_name(target.name, portal_group_tag), portal_group_tag, portal_group_tag, PROTOCOL)


def no_session(tsih: int) -> Refusal:
    """The session is not there whose connection an initiator wants to be."""
    return Refusal(LoginStatus.SESSION_DOES_NOT_EXIST, f"this initiator has no session {tsih} here")


class Gatekeeper:
    """The login policy of one connection.

    :param portal: through which it came.
    :param peer: the initiator's address.
    """

    def __init__(
        self, host: Host, options: IscsiOptions, sessions: "Sessions", portal: "Portal", peer: Address
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._options = options
        self._portal = portal
        self._peer = peer

    def find_target(self, candidate: Candidate) -> Admission | Refusal:
        """The target, where it is now, and how to prove oneself there."""
        algorithms = tuple(_NUMBERS[name] for name in self._options.chap_algorithms)
        if candidate.discovery:
            methods = (CHAP,) if self._options.discovery_auth else _NO_AUTHENTICATION
            return Admission(auth_methods=methods, chap_algorithms=algorithms, offer=self._options.offer())
        target = self._host.find_target(candidate.target_name)
        if target is None or not self._reachable(target):
            return Refusal(LoginStatus.NOT_FOUND, f"there is no target {candidate.target_name} here")
        own = own_options(target)
        if own.redirect is not None:
            status = (
                LoginStatus.TARGET_MOVED_PERMANENTLY if own.redirect_permanent else LoginStatus.TARGET_MOVED_TEMPORARILY
            )
            return Refusal(status, f"{target} is at {own.redirect}", str(parse_address(own.redirect)))
        if target.drained:
            return Refusal(LoginStatus.SERVICE_UNAVAILABLE, f"{target} is drained")
        if target.leases.draining:
            return Refusal(LoginStatus.TARGET_REMOVED, f"{target} is going away")
        return Admission(
            target=target,
            portal_group_tag=self._portal.group,
            alias=target.alias,
            auth_methods=(CHAP,) if own.auth else _NO_AUTHENTICATION,
            chap_algorithms=algorithms,
            offer=self._options.offer(own),
        )

    def session_for(self, candidate: Candidate) -> Parameters | Refusal:
        """A session's only connection may be reinstated; a second one is not supported (MaxConnections is 1)."""
        key = SessionKey(candidate.initiator_name, candidate.isid, candidate.target_name, self._portal.group)
        pair = self._sessions.find(key, candidate.tsih)
        if pair is None:
            return no_session(candidate.tsih)
        session, connection = pair
        if candidate.cid != session.cid:
            return Refusal(LoginStatus.TOO_MANY_CONNECTIONS, "a session has one connection here")
        phase = connection.session_phase
        assert phase is not None
        return phase.parameters

    def credentials(self, candidate: Candidate, admission: Admission, chap_name: str) -> ChapAccount | None:
        """The account of a CHAP name, if it may be used for this target."""
        if admission.target is None:
            names, mutual = self._options.discovery_auth, self._options.discovery_mutual
        else:
            own = own_options(admission.target)
            names, mutual = own.auth, own.mutual
        account = self._account(names, chap_name)
        if account is None:
            return None
        answer = self._host.account(mutual) if mutual is not None else None
        if answer is None:
            return ChapAccount(account.secret)
        return ChapAccount(account.secret, answer.name, answer.secret)

    def authorize(self, candidate: Candidate, admission: Admission, chap_name: str | None) -> bool:
        """The core decides: access list and hooks.  Anybody may look around; what he sees depends on who he is."""
        if admission.target is None:
            return True
        return self._host.admits(
            admission.target,
            initiator_port(candidate.initiator_name, candidate.isid, self._peer),
            str(self._portal.listener.address),
        )

    def _account(self, names: tuple[str, ...], chap_name: str) -> Account | None:
        for name in names:
            account = self._host.account(name)
            if account is not None and account.name == chap_name:
                return account
        return None

    def _reachable(self, target: Target) -> bool:
        groups = own_options(target).portal_groups
        return not groups or self._portal.group in groups


def own_options(target: Target) -> IscsiTargetOptions:
    """What the configuration of a target says for this transport."""
    options = target.options
    assert isinstance(options, IscsiTargetOptions)
    return options
