"""What the requests of a login say and what they are answered, once the first one has named who asks for what."""

import functools

from tgtcore_iscsi.chap import ChapTarget
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.keys import Use
from tgtcore_iscsi.login.policy import Admission, Candidate, LoginPolicy
from tgtcore_iscsi.login.security import Security
from tgtcore_iscsi.negotiation import KeyGate, Negotiation
from tgtcore_iscsi.parameters import Parameters
from tgtcore_iscsi.pdu.codes import LoginStatus, Stage
from tgtcore_iscsi.text import Pairs
from tgtcore_iscsi.values import NONE, NOT_UNDERSTOOD


class Exchange:
    """The keys of one login and how far they have got."""

    def __init__(
        self, policy: LoginPolicy, candidate: Candidate, admission: Admission, session: Parameters | None
    ) -> None:
        """Begin; ``session`` holds the values of the session that the connection joins, ``None`` for a new one."""
        self.candidate = candidate
        self.admission = admission
        find_account = functools.partial(policy.credentials, candidate, admission)
        self._policy = policy
        self._security = Security(
            admission.auth_methods,
            lambda: ChapTarget(find_account, algorithms=admission.chap_algorithms),
        )
        base = None if session is None else session.for_new_connection()
        self._negotiation = Negotiation(admission.offer, discovery=candidate.discovery, base=base)
        self._gate = KeyGate(leading=session is None)
        self._identity: Pairs = []
        self._begun = False

    @property
    def chap_name(self) -> str | None:
        """The name that was proved by CHAP."""
        return self._security.chap_name

    @property
    def parameters(self) -> Parameters:
        """What is agreed so far."""
        return self._negotiation.parameters()

    def answer(self, pairs: Pairs, stage: Stage, wanted: Stage | None) -> tuple[Pairs, Stage | None]:
        """Return the answers to one request and the stage that the login now goes to.

        :param wanted: the stage that the initiator asks to go to; ``None`` stays, and so does a stage with open ends.
        :raises RemoteProtocolError: the login must end, with the status of the error.
        """
        answers = [] if self._begun else self._greeting()
        operational, security = self._take_keys(pairs, stage)
        answers += operational
        if stage is Stage.SECURITY:
            answers += self._security.receive(security)
            leave = self._leave_security(wanted, answered=bool(security))
        else:
            if not self._begun:
                self._skip_security()
            leave = self._leave_operational(wanted, answers)
        self._begun = True
        if stage is Stage.OPERATIONAL or leave is Stage.FULL_FEATURE:
            answers += self._negotiation.declare()
        return answers, leave

    def _greeting(self) -> Pairs:
        """Return the declarations that belong into the first answer (13.6, 13.9)."""
        pairs: Pairs = []
        if not self.candidate.discovery:
            pairs.append(("TargetPortalGroupTag", str(self.admission.portal_group_tag)))
        if self.admission.alias:
            pairs.append(("TargetAlias", self.admission.alias))
        return pairs

    def _take_keys(self, pairs: Pairs, stage: Stage) -> tuple[Pairs, dict[str, str]]:
        """Return the answers to operational and unknown keys, and the security keys unanswered.

        libiscsi says again who it is when it comes from AuthMethod=None to the operational stage.  6.3 forbids to declare a key
        twice; a declaration that is the same word for word changes nothing and is passed over, any other ends the login.
        """
        answers: Pairs = []
        security: dict[str, str] = {}
        for name, value in pairs:
            if self._negotiation.take_answer(name, value) or (self._begun and (name, value) in self._identity):
                continue
            key = self._gate.admit(name, value, stage)
            if not self._begun and key is not None and key.use is Use.FIRST:
                self._identity.append((name, value))
            if key is None:
                answers.append((name, NOT_UNDERSTOOD))
            elif key.use is Use.SECURITY:
                security[name] = value
            elif key.use is Use.FIRST and self._begun:
                raise RemoteProtocolError(f"key {name} belongs into the first login request")
            else:
                answer = self._negotiation.answer(key, value)
                if answer is not None:
                    answers.append((name, answer))
        return answers, security

    def _skip_security(self) -> None:
        if NONE not in self.admission.auth_methods:
            raise RemoteProtocolError(
                "authentication is required and the initiator left out the security stage",
                status=LoginStatus.AUTHENTICATION_FAILURE,
            )
        self._authorize()

    def _leave_security(self, wanted: Stage | None, *, answered: bool) -> Stage | None:
        if wanted is None:
            return None
        if not self._security.complete:
            if not answered:
                raise RemoteProtocolError(
                    "authentication is required and the initiator went on without it",
                    status=LoginStatus.AUTHENTICATION_FAILURE,
                )
            return None
        self._authorize()
        if wanted is Stage.FULL_FEATURE and self._negotiation.demand_digests():
            raise RemoteProtocolError("a digest is required here and the initiator left out the operational stage")
        return wanted

    def _leave_operational(self, wanted: Stage | None, answers: Pairs) -> Stage | None:
        if wanted is None:
            return None
        offers = self._negotiation.demand_digests()
        answers += offers
        return None if offers else wanted

    def _authorize(self) -> None:
        """Ask the policy; silence and anything but ``True`` refuse."""
        if self._policy.authorize(self.candidate, self.admission, self.chap_name) is not True:
            raise RemoteProtocolError(
                f"{self.candidate.initiator_name} may not log in to {self.candidate.target_name or 'discovery'}",
                status=LoginStatus.AUTHORIZATION_FAILURE,
            )
