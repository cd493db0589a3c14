"""What a driver tells of itself for show: every answer is checked, for it may say anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, JsonValue, TypeAdapter, ValidationError

from tgtcore.errors import RingError
from tgtcore.isolation.orders import printable
from tgtcore.limits import (
    NEXUSES_PER_DRIVER_MAX,
    PORTALS_PER_DRIVER_MAX,
    PORTS_PER_TARGET_MAX,
    SHOWN_TEXT_CHARACTERS_MAX,
)
from tgtcore.nexus import Nexus, TargetPort
from tgtcore.transport import PortalInfo, SessionInfo

_T = TypeVar("_T")
_TEXT_MAX = 200


def first_problem(error: ValidationError) -> str:
    """What is wrong with what a driver has told; of its words only where, as it may stand in a log."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = printable(".".join(map(str, first["loc"])))[:_TEXT_MAX]
    return f"{where}: {first['msg']}" if where else str(first["msg"])


@dataclass(frozen=True)
class Shown(Generic[_T]):
    """One thing that a driver can be asked for.

    :param name: what SHOW says.
    :param kind: what the answer must be.
    """

    name: str
    kind: "TypeAdapter[_T]"

    def parse(self, answer: bytes) -> _T:
        """The answer.

        :raises RingError: it can't be.
        """
        try:
            return self.kind.validate_json(answer)
        except ValidationError as error:
            raise RingError(f"its answer about {self.name} can't be: {first_problem(error)}") from None


_Text = Annotated[str, Field(max_length=SHOWN_TEXT_CHARACTERS_MAX), AfterValidator(printable)]


@dataclass(frozen=True)
class ToldPortal:
    """A portal as it comes over the ring."""

    address: _Text
    group: int
    advertised: _Text = ""
    connections: int = 0
    configured: _Text = ""

    def info(self) -> PortalInfo:
        """As others know it."""
        return PortalInfo(**vars(self))


@dataclass(frozen=True)
class ToldSession:
    """A session as it comes over the ring, its nexus by number."""

    id: _Text
    target: _Text
    initiator: _Text
    address: _Text
    tasks: int
    details: dict[str, Any] = field(default_factory=dict)
    portal: _Text = ""
    nexus: int = 0

    def info(self, nexuses: Mapping[int, Nexus]) -> SessionInfo:
        """With its nexus, if the core has that."""
        return SessionInfo(**{**vars(self), "nexus": nexuses.get(self.nexus)})


_Portals = Annotated[list[ToldPortal], Field(max_length=PORTALS_PER_DRIVER_MAX)]
_Sessions = Annotated[list[ToldSession], Field(max_length=NEXUSES_PER_DRIVER_MAX)]
_Ports = Annotated[list[TargetPort], Field(max_length=PORTS_PER_TARGET_MAX)]

PORTALS: Shown[list[ToldPortal]] = Shown("portals", TypeAdapter(_Portals))
SESSIONS: Shown[list[ToldSession]] = Shown("sessions", TypeAdapter(_Sessions))
STATISTICS: Shown[dict[str, Any]] = Shown("statistics", TypeAdapter(dict[str, JsonValue]))
URLS: Shown[dict[int, list[str]]] = Shown(
    "urls", TypeAdapter(dict[int, list[Annotated[str, AfterValidator(printable)]]])
)
PORTS: Shown[dict[int, list[TargetPort]]] = Shown("ports", TypeAdapter(dict[int, _Ports]))
