"""CHAP as iSCSI uses it, the target's side: one way and mutual (RFC 1994, RFC 7143 12.1.3).

No error message holds a secret, a challenge or a response.
"""

import enum
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import CHAP_CHALLENGE_BYTES_MAX, CHAP_CHALLENGE_BYTES_MIN
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.text import Pairs
from tgtcore_iscsi.values import format_hex, parse_binary, parse_list, parse_number

ALGORITHMS: Final = {5: "md5", 6: "sha1", 7: "sha256", 8: "sha3_256"}
"""IANA "PPP Authentication Algorithms" that iSCSI may use, and their names in :mod:`hashlib`."""

PREFERENCE: Final = (8, 7, 6, 5)
"""Strongest first."""

_ONE_WAY: Final = frozenset(("CHAP_N", "CHAP_R"))
_MUTUAL: Final = _ONE_WAY | {"CHAP_I", "CHAP_C"}


@dataclass(frozen=True, slots=True)
class ChapAccount:
    """The secrets of one CHAP name.

    :ivar secret: what the initiator must know.
    :ivar mutual_name: the CHAP_N with which we answer its challenge; empty when there is no mutual authentication.
    :ivar mutual_secret: what we prove to know; never the same as ``secret``.
    :raises ValueError: a secret is empty, missing or used for both directions.
    """

    secret: bytes = field(repr=False)
    mutual_name: str = ""
    mutual_secret: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("CHAP secret is empty")
        if bool(self.mutual_name) != bool(self.mutual_secret):
            raise ValueError("mutual CHAP needs both a name and a secret")
        if hmac.compare_digest(self.secret, self.mutual_secret):
            raise ValueError("mutual CHAP secret equals the secret of the other direction, which RFC 7143 forbids")


def chap_response(algorithm: int, identifier: int, secret: bytes, challenge: bytes) -> bytes:
    """Return the response that proves knowledge of ``secret``."""
    name = ALGORITHMS[algorithm]
    return hashlib.new(name, bytes((identifier,)) + secret + challenge, usedforsecurity=False).digest()


def digest_bytes(algorithm: int) -> int:
    """Return the length of a response, and of the challenges that we send."""
    return hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False).digest_size


class _Step(enum.Enum):
    ALGORITHM = enum.auto()
    RESPONSE = enum.auto()
    DONE = enum.auto()


class ChapTarget:
    """One authentication of an initiator.

    :ivar name: the CHAP name once it is proved, ``None`` before.
    """

    def __init__(
        self,
        find_account: Callable[[str], ChapAccount | None],
        *,
        algorithms: tuple[int, ...] = PREFERENCE,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Allow ``algorithms``, the one that we like best first; secrets come from ``find_account`` by CHAP name."""
        self.name: str | None = None
        self._find_account = find_account
        self._algorithms = algorithms
        self._random_bytes = random_bytes
        self._step = _Step.ALGORITHM
        self._algorithm = 0
        self._identifier = 0
        self._challenge = b""

    def receive(self, keys: Mapping[str, str]) -> Pairs:
        """Take the CHAP keys of one request, return those of the answer.

        :raises RemoteProtocolError: keys out of order or malformed; or the initiator is not who it says.
        """
        names = frozenset(keys)
        if self._step is _Step.ALGORITHM and names == {"CHAP_A"}:
            return self._challenge_with(self._choose(keys["CHAP_A"]))
        if self._step is _Step.RESPONSE and names in (_ONE_WAY, _MUTUAL):
            return self._verify(keys)
        raise RemoteProtocolError(f"keys {' '.join(sorted(names))} are out of order in CHAP")

    def _choose(self, offered: str) -> int:
        try:
            numbers = [parse_number(number) for number in parse_list(offered)]
        except ValueError as error:
            raise RemoteProtocolError(f"CHAP_A: {error}") from None
        for algorithm in self._algorithms:
            if algorithm in numbers:
                return algorithm
        raise _failure("no CHAP algorithm in common")

    def _challenge_with(self, algorithm: int) -> Pairs:
        self._algorithm = algorithm
        self._identifier = self._random_bytes(1)[0]
        self._challenge = self._random_bytes(digest_bytes(algorithm))
        self._step = _Step.RESPONSE
        return [
            ("CHAP_A", str(algorithm)),
            ("CHAP_I", str(self._identifier)),
            ("CHAP_C", format_hex(self._challenge)),
        ]

    def _verify(self, keys: Mapping[str, str]) -> Pairs:
        self._step = _Step.DONE
        name = keys["CHAP_N"]
        account = self._find_account(name)
        # an unknown name costs the same work as a known one, so that the time does not tell them apart
        secret = self._random_bytes(16) if account is None else account.secret
        expected = chap_response(self._algorithm, self._identifier, secret, self._challenge)
        given = _binary("CHAP_R", keys["CHAP_R"])
        if not hmac.compare_digest(given, expected) or account is None:
            raise _failure("CHAP name or secret is wrong")
        answer = self._prove(account, keys) if "CHAP_C" in keys else []
        self.name = name
        return answer

    def _prove(self, account: ChapAccount, keys: Mapping[str, str]) -> Pairs:
        """Answer the initiator's own challenge."""
        challenge = _binary("CHAP_C", keys["CHAP_C"])
        if not CHAP_CHALLENGE_BYTES_MIN <= len(challenge) <= CHAP_CHALLENGE_BYTES_MAX:
            raise RemoteProtocolError(
                f"CHAP_C has {len(challenge)} bytes, expected {CHAP_CHALLENGE_BYTES_MIN} to {CHAP_CHALLENGE_BYTES_MAX}"
            )
        if hmac.compare_digest(challenge, self._challenge):
            raise _failure("CHAP challenge was reflected")
        identifier = _identifier(keys["CHAP_I"])
        if not account.mutual_name:
            raise _failure("mutual CHAP was asked for and this account has no secret for it")
        response = chap_response(self._algorithm, identifier, account.mutual_secret, challenge)
        return [("CHAP_N", account.mutual_name), ("CHAP_R", format_hex(response))]


def _identifier(text: str) -> int:
    try:
        value = parse_number(text)
    except ValueError as error:
        raise RemoteProtocolError(f"CHAP_I: {error}") from None
    if value > 0xFF:
        raise RemoteProtocolError(f"CHAP_I is {value}, expected 0 to 255")
    return value


def _binary(name: str, text: str) -> bytes:
    try:
        return parse_binary(text)
    except ValueError as error:
        raise RemoteProtocolError(f"{name}: {error}", status=LoginStatus.AUTHENTICATION_FAILURE) from None


def _failure(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, status=LoginStatus.AUTHENTICATION_FAILURE)
