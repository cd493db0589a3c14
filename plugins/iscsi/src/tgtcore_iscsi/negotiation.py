"""The target's side of a negotiation: each offered key gets its one answer (RFC 7143 6.2)."""

from dataclasses import replace
from typing import Any, Final

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.keys import KEYS, NUMBER, Key, Scope, Sender
from tgtcore_iscsi.limits import KEYS_MAX, UNKNOWN_KEYS_MAX
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import Stage
from tgtcore_iscsi.text import Pairs
from tgtcore_iscsi.values import ANSWERS, IRRELEVANT, NONE, REJECT

_DIGESTS: Final = (KEYS["HeaderDigest"], KEYS["DataDigest"])
_RECEIVE: Final = KEYS["MaxRecvDataSegmentLength"]


class KeyGate:
    """Decides which keys of an initiator are looked at: known, its to send, now, once, and not too many."""

    __slots__ = ("_leading", "_seen", "_unknown")

    def __init__(self, *, leading: bool = True) -> None:
        self._leading = leading
        self._seen: set[str] = set()
        self._unknown = 0

    def admit(self, name: str, value: str, stage: Stage) -> Key | None:
        """Return the key's row, or ``None`` when the answer is NotUnderstood.

        :raises RemoteProtocolError: it may not come from an initiator, not now, not twice, or is too long.
        """
        if name in self._seen:
            raise RemoteProtocolError(f"key {name} came twice")
        if len(self._seen) == KEYS_MAX:
            raise RemoteProtocolError(f"more than {KEYS_MAX} keys in one negotiation")
        self._seen.add(name)
        if value in ANSWERS:
            raise RemoteProtocolError(f"key {name} was offered the reserved value {value}")
        key = KEYS.get(name)
        if key is None:
            self._count_unknown()
        else:
            self._check(key, value, stage)
        return key

    def _count_unknown(self) -> None:
        self._unknown += 1
        if self._unknown > UNKNOWN_KEYS_MAX:
            raise RemoteProtocolError(f"more than {UNKNOWN_KEYS_MAX} keys that are not understood")

    def _check(self, key: Key, value: str, stage: Stage) -> None:
        if Sender.INITIATOR not in key.sender:
            raise RemoteProtocolError(f"key {key.name} is the target's to send")
        if stage not in key.use.value:
            raise RemoteProtocolError(f"key {key.name} has no place in the {stage.name.lower()} stage")
        if key.scope is not Scope.CONNECTION and not self._leading:
            raise RemoteProtocolError(f"key {key.name} belongs to the leading connection of a session")
        size = len(value.encode())
        if size > key.kind.bytes_max:
            raise RemoteProtocolError(
                f"value of key {key.name} has {size} bytes, expected {key.kind.bytes_max} at most"
            )


class Negotiation:
    """Collects what is agreed on, key by key."""

    __slots__ = ("_agreed", "_base", "_discovery", "_offer", "_offered", "_settled")

    def __init__(self, offer: Offer, *, discovery: bool = False, base: Parameters | None = None) -> None:
        """Begin with the values of ``base``, for a session that exists, or those of the standard."""
        self._offer = offer
        self._discovery = discovery
        self._base = Parameters() if base is None else base
        self._agreed: dict[str, Any] = {}
        self._offered: set[str] = set()
        self._settled: set[str] = set()

    def answer(self, key: Key, value: str) -> str | None:
        """Return the answer to an operational key that a :class:`KeyGate` has admitted; ``None`` to a declaration.

        :raises RemoteProtocolError: a declaration is unusable; an unusable offer is answered Reject instead.
        """
        if key.result is None:
            self._note_declaration(key, value)
            return None
        if key.scope is Scope.NORMAL_SESSION and self._discovery:
            return IRRELEVANT
        self._settled.add(key.name)
        offered = _parsed(key, value)
        agreed = None if offered is None else key.result(offered, getattr(self._offer, key.attribute, key.fixed))
        if agreed is None:
            return REJECT
        if key.attribute:
            self._agreed[key.attribute] = agreed
        return key.kind.format(agreed)

    def _note_declaration(self, key: Key, value: str) -> None:
        if not key.declares:
            return
        declared = _parsed(key, value)
        if declared is None:
            raise RemoteProtocolError(f"{key.name} is not a {key.kind.name} from {key.span[0]} to {key.span[1]}")
        self._agreed[key.declares] = declared

    def declare(self) -> Pairs:
        """Return our own declaration of what we receive; empty from the second call on."""
        if _RECEIVE.attribute in self._agreed:
            return []
        length = getattr(self._offer, _RECEIVE.attribute)
        self._agreed[_RECEIVE.attribute] = length
        return [(_RECEIVE.name, _RECEIVE.kind.format(length))]

    def demand_digests(self) -> Pairs:
        """Return offers of the digests that we insist on and the initiator has not mentioned.

        :raises RemoteProtocolError: it was asked and did not agree.
        """
        offers: Pairs = []
        for key in _DIGESTS:
            allowed = getattr(self._offer, key.attribute)
            if NONE in allowed or self._agreed.get(key.attribute) in allowed:
                continue
            if key.name in self._settled or key.name in self._offered:
                raise RemoteProtocolError(f"{key.name} {','.join(allowed)} is required here and was not agreed to")
            self._offered.add(key.name)
            offers.append((key.name, ",".join(allowed)))
        return offers

    def take_answer(self, name: str, value: str) -> bool:
        """Tell whether a key was the answer to an offer of ours, and note it.

        :raises RemoteProtocolError: it answers with something that was not offered.
        """
        if name not in self._offered or name in self._settled:
            return False
        self._settled.add(name)
        key = KEYS[name]
        if value not in getattr(self._offer, key.attribute):
            raise RemoteProtocolError(f"{name} was answered with something that was not offered")
        self._agreed[key.attribute] = value
        return True

    def parameters(self) -> Parameters:
        """Return what is agreed so far."""
        agreed = replace(self._base, **self._agreed)
        return replace(agreed, first_burst_length=min(agreed.first_burst_length, agreed.max_burst_length))


def _parsed(key: Key, value: str) -> Any:
    """Return the value in its own type, ``None`` when it is malformed or out of range."""
    try:
        parsed = key.kind.parse(value)
    except ValueError:
        return None
    if key.kind is NUMBER and not key.span[0] <= parsed <= key.span[1]:
        return None
    return parsed
