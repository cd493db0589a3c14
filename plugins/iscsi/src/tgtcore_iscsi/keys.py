"""Every text key of RFC 7143 clause 13 (and 12, security) in one table: who, when, what, and how it is agreed.

Reference pages are generated from this table; code never tests for the name of an operational key.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tgtcore_iscsi.limits import LONG_VALUE_BYTES_MAX, NAME_BYTES_MAX, SIMPLE_VALUE_BYTES_MAX
from tgtcore_iscsi.pdu.codes import Stage
from tgtcore_iscsi.values import NONE, format_boolean, parse_boolean, parse_list, parse_number


class Sender(enum.Flag):
    """Who may send a key."""

    INITIATOR = enum.auto()
    TARGET = enum.auto()
    BOTH = INITIATOR | TARGET


class Use(enum.Enum):
    """When a key may be sent: the value is the set of stages."""

    SECURITY = frozenset((Stage.SECURITY,))
    """Security negotiation only."""
    FIRST = frozenset((Stage.SECURITY, Stage.OPERATIONAL))
    """The first request of a login, whichever its stage ("IO" and declarative)."""
    OPERATIONAL = frozenset((Stage.OPERATIONAL,))
    """Operational negotiation of any connection ("IO")."""
    ANY = frozenset(Stage)
    """Login and full feature phase ("ALL")."""
    FULL_FEATURE = frozenset((Stage.FULL_FEATURE,))
    """Text requests of the full feature phase ("FFPO")."""


class Kind(NamedTuple):
    """How a value is written."""

    name: str
    parse: Callable[[str], Any]
    format: Callable[[Any], str]
    bytes_max: int


NUMBER: Final = Kind("number", parse_number, str, SIMPLE_VALUE_BYTES_MAX)
BOOLEAN: Final = Kind("Yes or No", parse_boolean, format_boolean, SIMPLE_VALUE_BYTES_MAX)
LIST: Final = Kind("list", parse_list, str, LONG_VALUE_BYTES_MAX)
TEXT: Final = Kind("text", str, str, SIMPLE_VALUE_BYTES_MAX)
NAME: Final = Kind("iSCSI name", str, str, NAME_BYTES_MAX)
LONG: Final = Kind("long text or binary", str, str, LONG_VALUE_BYTES_MAX)

Result = Callable[[Any, Any], Any]
"""(offered by the peer, wished by us) -> agreed; ``None`` means Reject."""


def both(offered: bool, wished: bool) -> bool:
    """Boolean AND."""
    return offered and wished


def either(offered: bool, wished: bool) -> bool:
    """Boolean OR."""
    return offered or wished


def first_known(offered: tuple[str, ...], wished: tuple[str, ...]) -> str | None:
    """Return the first offered value that we allow (6.2.1)."""
    return next((value for value in offered if value in wished), None)


def rejected(offered: Any, wished: Any) -> None:
    """Obsolete keys whose every value is rejected."""


class Scope(enum.Enum):
    """How far a value reaches, and with it on which connections the key may come."""

    CONNECTION = enum.auto()
    """The connection it is sent on."""
    SESSION = enum.auto()
    """The session: only on the leading connection ("LO")."""
    NORMAL_SESSION = enum.auto()
    """The same, and answered Irrelevant in a discovery session."""


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table.

    :ivar result: how offer and wish become the agreed value; ``None`` for a declaration, which gets no answer.
    :ivar default: the value when nobody speaks of the key.
    :ivar span: smallest and largest number.
    :ivar attribute: where :class:`~tgtcore_iscsi.parameters.Parameters` keeps it, and ``Offer`` our wish.
    :ivar declares: where ``Parameters`` keeps what the peer declared.
    :ivar fixed: our wish where there is no choice.
    """

    name: str
    use: Use
    sender: Sender
    kind: Kind
    result: Result | None = None
    default: Any = None
    scope: Scope = Scope.CONNECTION
    attribute: str = ""
    span: tuple[int, int] = (0, 2**64 - 1)
    fixed: Any = None
    declares: str = ""


_I, _T, _IT = Sender.INITIATOR, Sender.TARGET, Sender.BOTH
_OP = Use.OPERATIONAL
_CO, _SW, _SWN = Scope.CONNECTION, Scope.SESSION, Scope.NORMAL_SESSION
_LENGTH = (512, 2**24 - 1)
_SECONDS = (0, 3600)
_COUNT = (1, 65535)
_RECEIVE, _SEND = "max_recv_data_segment_length", "max_send_data_segment_length"

_ROWS: Final = (
    # security, clause 12
    Key("AuthMethod", Use.SECURITY, _IT, LIST, first_known, NONE),
    Key("CHAP_A", Use.SECURITY, _IT, LIST),
    Key("CHAP_I", Use.SECURITY, _IT, TEXT),
    Key("CHAP_C", Use.SECURITY, _IT, LONG),
    Key("CHAP_N", Use.SECURITY, _IT, TEXT),
    Key("CHAP_R", Use.SECURITY, _IT, LONG),
    # who and what, 13.3 to 13.9 and 13.21
    Key("InitiatorName", Use.FIRST, _I, NAME),
    Key("TargetName", Use.FIRST, _IT, NAME),
    Key("SessionType", Use.FIRST, _I, TEXT, default="Normal"),
    Key("InitiatorAlias", Use.ANY, _I, TEXT),
    Key("TargetAlias", Use.ANY, _T, TEXT),
    Key("TargetAddress", Use.ANY, _T, TEXT),
    Key("TargetPortalGroupTag", Use.FIRST, _T, NUMBER, span=(0, 65535)),
    Key("SendTargets", Use.FULL_FEATURE, _I, LONG),
    # operational, 13.1, 13.2, 13.10 to 13.20, 13.23, 13.24, 13.26
    Key("HeaderDigest", _OP, _IT, LIST, first_known, NONE, _CO, "header_digest"),
    Key("DataDigest", _OP, _IT, LIST, first_known, NONE, _CO, "data_digest"),
    Key("MaxRecvDataSegmentLength", Use.ANY, _IT, NUMBER, None, 8192, _CO, _RECEIVE, _LENGTH, declares=_SEND),
    Key("MaxConnections", _OP, _IT, NUMBER, min, 1, _SWN, "max_connections", _COUNT, fixed=1),
    Key("InitialR2T", _OP, _IT, BOOLEAN, either, True, _SWN, "initial_r2t"),
    Key("ImmediateData", _OP, _IT, BOOLEAN, both, True, _SWN, "immediate_data"),
    Key("MaxBurstLength", _OP, _IT, NUMBER, min, 262144, _SWN, "max_burst_length", _LENGTH),
    Key("FirstBurstLength", _OP, _IT, NUMBER, min, 65536, _SWN, "first_burst_length", _LENGTH),
    Key("MaxOutstandingR2T", _OP, _IT, NUMBER, min, 1, _SWN, "max_outstanding_r2t", _COUNT),
    Key("DataPDUInOrder", _OP, _IT, BOOLEAN, either, True, _SWN, "data_pdu_in_order", fixed=True),
    Key("DataSequenceInOrder", _OP, _IT, BOOLEAN, either, True, _SWN, "data_sequence_in_order", fixed=True),
    Key("DefaultTime2Wait", _OP, _IT, NUMBER, max, 2, _SW, "default_time2wait", _SECONDS),
    Key("DefaultTime2Retain", _OP, _IT, NUMBER, min, 20, _SW, "default_time2retain", _SECONDS),
    Key("ErrorRecoveryLevel", _OP, _IT, NUMBER, min, 0, _SW, "error_recovery_level", (0, 2), fixed=0),
    Key("TaskReporting", _OP, _IT, LIST, first_known, "RFC3720", _SWN, "task_reporting", fixed=("RFC3720",)),
    Key("iSCSIProtocolLevel", _OP, _IT, NUMBER, min, 1, _SWN, "protocol_level", (0, 31), fixed=1),
    Key("X#NodeArchitecture", _OP, _IT, LIST, scope=_SW),
    # obsolete, 13.25: never NotUnderstood; No and Reject are the answers allowed
    Key("IFMarker", _OP, _IT, BOOLEAN, both, False, fixed=False),
    Key("OFMarker", _OP, _IT, BOOLEAN, both, False, fixed=False),
    Key("IFMarkInt", _OP, _IT, TEXT, rejected),
    Key("OFMarkInt", _OP, _IT, TEXT, rejected),
)

KEYS: dict[str, Key] = {key.name: key for key in _ROWS}
BY_ATTRIBUTE: dict[str, Key] = {name: key for key in _ROWS for name in (key.attribute, key.declares) if name}
"""The row behind each attribute of ``Offer`` and ``Parameters``."""
