"""What a target wishes for (:class:`Offer`) and what a session and its connection agreed on (:class:`Parameters`)."""

from dataclasses import dataclass, fields, replace
from typing import Final

from tgtcore_iscsi.keys import BY_ATTRIBUTE, KEYS, NUMBER, Scope
from tgtcore_iscsi.values import NONE

CRC32C: Final = "CRC32C"
_DIGESTS: Final = frozenset((NONE, CRC32C))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A target's side of the negotiation; lengths in bytes, times in seconds.

    :ivar header_digest: what we allow, ``("CRC32C",)`` demands it; the initiator's order decides.
    :raises ValueError: a value is outside the range of its key.
    """

    max_recv_data_segment_length: int = 262144
    max_burst_length: int = 1048576
    first_burst_length: int = 262144
    initial_r2t: bool = False
    immediate_data: bool = True
    max_outstanding_r2t: int = 16
    default_time2wait: int = 2
    default_time2retain: int = 0
    header_digest: tuple[str, ...] = (NONE, CRC32C)
    data_digest: tuple[str, ...] = (NONE, CRC32C)

    def __post_init__(self) -> None:
        for field in fields(self):
            key = BY_ATTRIBUTE[field.name]
            value = getattr(self, field.name)
            if key.kind is NUMBER and not key.span[0] <= value <= key.span[1]:
                raise ValueError(f"{key.name} is {value}, expected {key.span[0]} to {key.span[1]}")
        if self.first_burst_length > self.max_burst_length:
            raise ValueError(
                f"FirstBurstLength is {self.first_burst_length}, expected at most MaxBurstLength, {self.max_burst_length}"
            )
        for name, values in (("HeaderDigest", self.header_digest), ("DataDigest", self.data_digest)):
            if not values or not _DIGESTS.issuperset(values):
                raise ValueError(f"{name} is {','.join(values) or 'empty'}, expected a choice of None and CRC32C")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The agreed values of a session and of one connection; the defaults are those of the standard.

    :ivar max_recv_data_segment_length: longest data segment that the initiator may send us.
    :ivar max_send_data_segment_length: longest that we may send it.
    """

    max_recv_data_segment_length: int = KEYS["MaxRecvDataSegmentLength"].default
    max_send_data_segment_length: int = KEYS["MaxRecvDataSegmentLength"].default
    header_digest: str = KEYS["HeaderDigest"].default
    data_digest: str = KEYS["DataDigest"].default
    max_connections: int = KEYS["MaxConnections"].default
    initial_r2t: bool = KEYS["InitialR2T"].default
    immediate_data: bool = KEYS["ImmediateData"].default
    max_burst_length: int = KEYS["MaxBurstLength"].default
    first_burst_length: int = KEYS["FirstBurstLength"].default
    max_outstanding_r2t: int = KEYS["MaxOutstandingR2T"].default
    data_pdu_in_order: bool = KEYS["DataPDUInOrder"].default
    data_sequence_in_order: bool = KEYS["DataSequenceInOrder"].default
    default_time2wait: int = KEYS["DefaultTime2Wait"].default
    default_time2retain: int = KEYS["DefaultTime2Retain"].default
    error_recovery_level: int = KEYS["ErrorRecoveryLevel"].default
    task_reporting: str = KEYS["TaskReporting"].default
    protocol_level: int = KEYS["iSCSIProtocolLevel"].default

    def for_new_connection(self) -> "Parameters":
        """Return these values with those that belong to one connection back at their defaults."""
        fresh = Parameters()
        return replace(
            self, **{name: getattr(fresh, name) for name, key in BY_ATTRIBUTE.items() if key.scope is Scope.CONNECTION}
        )

    @property
    def has_header_digest(self) -> bool:
        """Whether headers carry CRC32C once the full feature phase has begun."""
        return self.header_digest == CRC32C

    @property
    def has_data_digest(self) -> bool:
        """Whether data segments do."""
        return self.data_digest == CRC32C
