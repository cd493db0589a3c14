"""The configuration keys of the core itself, and what a checked configuration looks like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator

from tgtcore.limits import FILTERS_PER_LOGICAL_UNIT_MAX, WORKER_THREADS_MAX
from tgtcore.options import Options
from tgtcore.target import AccessList

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""What users may call their logical units and accounts."""

_PRINTABLE = r"^[\x20-\x7e]*$"


class DaemonOptions(Options):
    """Keys of ``[daemon]``."""

    socket: Path | None = None
    """The management socket; by default in a place of the user who runs the daemon."""

    state_directory: Path | None = None
    """Where identities and reservations are kept; by default in a place of the user who runs the daemon."""

    workers: int = Field(default=8, ge=1, le=WORKER_THREADS_MAX)
    """Threads for storage calls that block."""

    drain_s: float = Field(default=10, ge=0, le=3600)
    """How long commands may take to end when something is removed, before they are aborted."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are logged."""

    log_format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object in each line."""


class AccountOptions(Options):
    """Keys of ``[accounts.NAME]``: a user and where the secret is.  The secret itself is never in a configuration."""

    user: str | None = Field(default=None, min_length=1, max_length=223)
    """The user name that peers send; the account's name by default."""

    secret_file: Path | None = None
    """A file that holds the secret, readable by its owner only; a line break at its end does not count."""

    secret_env: str | None = Field(default=None, min_length=1)
    """An environment variable of the daemon that holds the secret."""

    @model_validator(mode="before")
    @classmethod
    def _no_secret_here(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in ("secret", "password"):
                if key in values:
                    raise ValueError(
                        f"{key}: a secret does not belong in a configuration; use secret_file or secret_env"
                    )
        return values

    @model_validator(mode="after")
    def _one_source(self) -> "AccountOptions":
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("expected exactly one of secret_file and secret_env")
        return self


class TransportKeys(Options):
    """The core's keys of ``[transports.NAME]``; the others are the transport's own."""

    isolation: Literal["none", "process", "attached"] = "none"
    """``process``: the transport runs in a process of its own, which is started again when it dies and can harm nobody else.
    ``attached``: it is a program that somebody else starts, and that attaches to ``socket``."""

    user: str | None = Field(default=None, min_length=1)
    """Who that process is, with the groups of that user, for a daemon that runs as root; ``nobody`` by default.  With ``attached``:
    who may attach, besides root and the user of the daemon."""

    socket: Path | None = None
    """The UNIX socket to which an ``attached`` driver connects; the daemon makes it."""

    @model_validator(mode="after")
    def _keys_of_their_isolation(self) -> "TransportKeys":
        if self.user is not None and self.isolation == "none":
            raise ValueError('user: only a transport with isolation = "process" or "attached" has one')
        if (self.socket is not None) != (self.isolation == "attached"):
            raise ValueError('socket: a transport with isolation = "attached" must have one, and no other can')
        return self


class SnapshotKeys(Options):
    """Keys of ``[logical_units.NAME.snapshots]``: snapshots that are made time and again."""

    every_s: float = Field(ge=1, le=366 * 86400)
    """How many seconds after the newest of them the next one is made."""

    keep: int = Field(default=24, ge=1, le=10_000)
    """How many of them are kept; the oldest go.  Others are never touched."""


class LogicalUnitKeys(Options):
    """The core's keys of ``[logical_units.NAME]``; the others are its device type's."""

    device_type: str
    """The registered name of its device type, such as ``disk``."""

    store: dict[str, Any] | None = None
    """Where its data lives: ``type`` and the keys of that store."""

    read_only: bool = False
    """Refuse every write, whatever the store could do."""

    unique_id: UUID | None = None
    """What all identifiers are made from; by default made once and remembered in the state directory."""

    serial: str | None = Field(default=None, min_length=1, max_length=36, pattern=_PRINTABLE)
    """Unit serial number; made from ``unique_id`` by default."""

    vendor: str | None = Field(default=None, min_length=1, max_length=8, pattern=_PRINTABLE)
    """T10 vendor identification."""

    product: str | None = Field(default=None, min_length=1, max_length=16, pattern=_PRINTABLE)
    """Product identification."""

    revision: str | None = Field(default=None, min_length=1, max_length=4, pattern=_PRINTABLE)
    """Product revision level."""

    snapshots: SnapshotKeys | None = None
    """When to make snapshots by itself; can be changed while it is in use."""

    filters: tuple[dict[str, Any], ...] = Field(default=(), max_length=FILTERS_PER_LOGICAL_UNIT_MAX)
    """What stands between initiators and its device type, or between that and its store, the first one outermost; can be changed
    while it is in use."""


class FilterKeys(Options):
    """The core's keys of one of ``filters`` of ``[logical_units.NAME]``; the others are the filter's."""

    type: str
    """The registered name of the filter, such as ``delay``."""

    name: Name | None = None
    """What to call it; its type by default.  No two of a logical unit have the same."""


class AllowKeys(Options):
    """``allow`` of a target; nobody is admitted without it."""

    initiators: tuple[str, ...] = ()
    """Patterns of initiator names: ``*``, ``?`` and ``[...]`` as in a shell."""

    addresses: tuple[str, ...] = ()
    """Networks such as ``10.0.0.0/8``, or addresses.  With both kinds given, both must fit."""

    @field_validator("addresses")
    @classmethod
    def _networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        AccessList.parse((), addresses)
        return addresses


class PrivateLunsKeys(Options):
    """One of ``[[targets.NAME.private_luns]]``: the LUNs of some initiators only."""

    initiators: tuple[str, ...] = Field(min_length=1)
    """Patterns of initiator names; the first table that fits is used instead of ``luns``."""

    luns: Any
    """As ``luns`` of the target."""


class TargetKeys(Options):
    """The core's keys of ``[targets.NAME]``; the others are its transport's."""

    transport: str
    """The registered name of its transport, such as ``iscsi``."""

    alias: str = Field(default="", max_length=255)
    """A description for people, shown to initiators."""

    luns: Any = Field(default_factory=dict)
    """LUN → logical unit: ``{ 0 = "disk0" }``, or a list that counts from 0."""

    allow: AllowKeys = Field(default_factory=AllowKeys)
    """Who may log in."""

    private_luns: tuple[PrivateLunsKeys, ...] = ()
    """LUN maps for some initiators only."""


@dataclass(frozen=True)
class AccountConfig:
    """A checked account with its secret."""

    user: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class TransportConfig:
    """A checked transport."""

    options: BaseModel
    keys: TransportKeys = field(default_factory=TransportKeys)


@dataclass(frozen=True)
class StoreConfig:
    """A checked store, format or filter and what it stands on."""

    type: str
    options: BaseModel
    base: "StoreConfig | None" = None
    paths: frozenset[Path] = frozenset()
    """Files that the whole stack names."""

    written: frozenset[Path] = frozenset()
    """Those of them that may be written."""

    def __str__(self) -> str:
        inner = str(self.base) if self.base else ", ".join(sorted(map(str, self.paths)))
        return f"{self.type}({inner})"


@dataclass(frozen=True)
class FilterConfig:
    """A checked filter of a logical unit."""

    name: str
    type: str
    options: BaseModel

    def __str__(self) -> str:
        return self.name if self.name == self.type else f"{self.name} ({self.type})"


@dataclass(frozen=True)
class LogicalUnitConfig:
    """A checked logical unit."""

    name: str
    device_type: str
    options: BaseModel
    store: StoreConfig | None
    read_only: bool
    unique_id: bytes | None
    names: Mapping[str, str]
    """Those of serial, vendor, product and revision that were given."""

    snapshots: SnapshotKeys | None = field(default=None, compare=False)
    """When to make snapshots; two that differ in nothing else are made from the same."""

    filters: tuple[FilterConfig, ...] = field(default=(), compare=False)
    """Its filters, the outermost first; they too come and go while it stays."""


@dataclass(frozen=True)
class LunMapConfig:
    """A checked LUN map."""

    initiators: tuple[str, ...]
    luns: Mapping[int, str]


@dataclass(frozen=True)
class TargetConfig:
    """A checked target."""

    name: str
    transport: str
    alias: str
    options: BaseModel
    allow: AccessList
    luns: LunMapConfig
    private_luns: tuple[LunMapConfig, ...] = ()

    def maps(self) -> tuple[LunMapConfig, ...]:
        """Every LUN map, the common one first."""
        return (self.luns, *self.private_luns)


@dataclass(frozen=True)
class Config:
    """A checked configuration.

    :param document: what it was made from, with absolute paths: what ``save`` writes.
    """

    document: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    daemon: DaemonOptions = field(default_factory=DaemonOptions)
    accounts: Mapping[str, AccountConfig] = field(default_factory=dict)
    transports: Mapping[str, TransportConfig] = field(default_factory=dict)
    logical_units: Mapping[str, LogicalUnitConfig] = field(default_factory=dict)
    targets: Mapping[str, TargetConfig] = field(default_factory=dict)
    plugin: Mapping[str, BaseModel] = field(default_factory=dict)

    def editable(self) -> dict[str, Any]:
        """A copy of the document that may be changed."""
        copied: dict[str, Any] = _copied(self.document)
        return copied


def _copied(value: Any) -> Any:
    """Much quicker than :func:`copy.deepcopy`, which keeps account of all it has seen."""
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [*map(_copied, value)] if isinstance(value, list) else value


EMPTY = Config()
"""The configuration of a daemon that serves nothing."""
