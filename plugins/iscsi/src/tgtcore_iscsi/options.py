"""The configuration keys of the iSCSI transport and of its targets."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tgtcore import Options
from tgtcore_iscsi.addresses import parse_address
from tgtcore_iscsi.parameters import Offer

Digests = Annotated[tuple[Literal["None", "CRC32C"], ...], Field(min_length=1)]


def _address(text: str | None) -> str | None:
    """``host:port``, ``[v6]:port``; the port may be left out (3260)."""
    return None if text is None else str(parse_address(text))


class PortalOptions(Options):
    """One portal."""

    address: str = "127.0.0.1:3260"
    """Where to listen; port 0 takes a free one."""

    group: int = Field(default=1, ge=1, le=65535)
    """Portal group tag: targets may be limited to some groups."""

    advertise: str | None = None
    """What initiators are told instead of ``address``: for a daemon behind NAT or in a container."""

    _addresses = field_validator("address", "advertise")(_address)


class IscsiOptions(Options):
    """Keys of ``[transports.iscsi]``."""

    portals: tuple[PortalOptions, ...] = (PortalOptions(),)
    """Where to listen."""

    discovery_auth: tuple[str, ...] = ()
    """Accounts that discovery sessions must log in with; empty: anybody may look, and sees only what would admit him."""

    discovery_mutual: str | None = None
    """The account with which we prove ourselves in discovery sessions."""

    chap_algorithms: tuple[Literal["MD5", "SHA1", "SHA-256", "SHA3-256"], ...] = ("SHA3-256", "SHA-256", "SHA1", "MD5")
    """CHAP digests that are accepted, the best first."""

    queue_depth: int = Field(default=128, ge=1, le=1024)
    """Commands that one session may have unfinished: the size of its command window."""

    login_timeout_s: float = Field(default=15, gt=0, le=300)
    """A connection that has not logged in by then is closed."""

    nop_interval_s: float = Field(default=30, ge=0, le=3600)
    """How often a silent initiator is pinged; 0: never."""

    connections_max: int = Field(default=1024, ge=1, le=65536)
    """Connections at one time, logged in or not; more are closed at once."""

    max_recv_data_segment_length: int = Field(default=262144, ge=512, le=16777215)
    """The longest data segment of a PDU that we take, in bytes (MaxRecvDataSegmentLength)."""

    max_burst_length: int = Field(default=1048576, ge=512, le=16777215)
    """The most data of one R2T or one data-in sequence, in bytes (MaxBurstLength)."""

    first_burst_length: int = Field(default=262144, ge=512, le=16777215)
    """The most data-out that may be sent without R2T, in bytes (FirstBurstLength)."""

    initial_r2t: bool = False
    """Whether data-out always waits for R2T, except immediate data (InitialR2T)."""

    immediate_data: bool = True
    """Whether a command may carry data-out with it (ImmediateData)."""

    max_outstanding_r2t: int = Field(default=16, ge=1, le=65535)
    """R2Ts that one command may have unanswered (MaxOutstandingR2T)."""

    header_digest: Digests = ("None", "CRC32C")
    """Header digests that are accepted, the best first (HeaderDigest)."""

    data_digest: Digests = ("None", "CRC32C")
    """Data digests that are accepted, the best first (DataDigest)."""

    @model_validator(mode="after")
    def _fits_the_standard(self) -> "IscsiOptions":
        self.offer()
        return self

    def offer(self, target: "IscsiTargetOptions | None" = None) -> Offer:
        """What we wish for in negotiations.

        :param target: a target that may have wishes of its own; None for discovery.
        :raises ValueError: the values contradict each other.
        """
        own = target or IscsiTargetOptions()
        return Offer(
            max_recv_data_segment_length=self.max_recv_data_segment_length,
            max_burst_length=self.max_burst_length,
            first_burst_length=self.first_burst_length,
            initial_r2t=self.initial_r2t,
            immediate_data=self.immediate_data,
            max_outstanding_r2t=self.max_outstanding_r2t,
            header_digest=self.header_digest if own.header_digest is None else own.header_digest,
            data_digest=self.data_digest if own.data_digest is None else own.data_digest,
        )


class IscsiTargetOptions(Options):
    """Keys of a target whose transport is iSCSI."""

    auth: tuple[str, ...] = ()
    """Accounts that initiators must log in with (CHAP); empty: no authentication."""

    mutual: str | None = None
    """The account with which the target proves itself to an initiator that asks for it."""

    portal_groups: tuple[int, ...] = ()
    """Portal groups through which the target can be reached; empty: all."""

    redirect: str | None = None
    """Send initiators to this address instead of logging them in."""

    _addresses = field_validator("redirect")(_address)

    redirect_permanent: bool = False
    """Whether initiators should remember the redirection."""

    header_digest: Digests | None = None
    """Header digests of this target; the transport's by default."""

    data_digest: Digests | None = None
    """Data digests of this target; the transport's by default."""

    @model_validator(mode="after")
    def _mutual_needs_auth(self) -> "IscsiTargetOptions":
        if self.mutual is not None and not self.auth:
            raise ValueError("mutual needs auth: a target proves itself only to an initiator that has done so")
        return self
