"""The security stage of a login: which method, and whether it has succeeded (RFC 7143 12)."""

from collections.abc import Callable, Mapping

from tgtcore_iscsi.chap import ChapTarget
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.keys import first_known
from tgtcore_iscsi.login.policy import CHAP
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.text import Pairs
from tgtcore_iscsi.values import NONE, parse_list

AUTH_METHOD = "AuthMethod"


class Security:
    """Agrees on an authentication method and runs it.

    :ivar chap_name: the name that was proved by CHAP, ``None`` as long as none was.
    """

    def __init__(self, methods: tuple[str, ...], make_chap: Callable[[], ChapTarget]) -> None:
        """Allow ``methods`` (``"CHAP"``, ``"None"``); ``make_chap`` is called if CHAP is chosen."""
        self.chap_name: str | None = None
        self._methods = methods
        self._make_chap = make_chap
        self._method = ""
        self._chap: ChapTarget | None = None

    @property
    def complete(self) -> bool:
        """Whether the stage may be left: CHAP has succeeded, or nothing is demanded and nothing was begun."""
        return self.chap_name is not None or (self._chap is None and NONE in self._methods)

    def receive(self, keys: Mapping[str, str]) -> Pairs:
        """Take the security keys of one request, return the answers.

        :raises RemoteProtocolError: no method in common, authentication failed, or keys out of order.
        """
        chap_keys = {name: value for name, value in keys.items() if name != AUTH_METHOD}
        answers = self._choose(keys[AUTH_METHOD]) if AUTH_METHOD in keys else []
        if chap_keys:
            if self._chap is None:
                raise RemoteProtocolError(f"keys {' '.join(sorted(chap_keys))} came before AuthMethod=CHAP was agreed")
            answers += self._chap.receive(chap_keys)
            self.chap_name = self._chap.name
        return answers

    def _choose(self, offered: str) -> Pairs:
        try:
            method = first_known(parse_list(offered), self._methods)
        except ValueError as error:
            raise RemoteProtocolError(f"AuthMethod: {error}") from None
        if method is None:
            raise RemoteProtocolError(
                f"no authentication method in common, {' or '.join(self._methods)} is required",
                status=LoginStatus.AUTHENTICATION_FAILURE,
            )
        if method == CHAP:
            self._chap = self._make_chap()
        return [(AUTH_METHOD, method)]
