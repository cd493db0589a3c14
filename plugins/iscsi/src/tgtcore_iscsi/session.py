"""A session: one initiator logged in to one target (or to discovery), its CmdSN window and its identity."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tgtcore import Nexus, Target

_MASK = 0xFFFFFFFF
_HALF = 0x80000000


def before(one: int, other: int) -> bool:
    """Whether serial number ``one`` comes before ``other`` (RFC 1982 arithmetic over 32 bits, RFC 7143 4.2.2)."""
    return one != other and ((other - one) & _MASK) < _HALF


@dataclass(frozen=True)
class SessionKey:
    """What makes two logins the same session (RFC 7143 4.5.3.1): a second one reinstates it."""

    initiator: str
    isid: bytes
    target: str
    portal_group: int


class CommandWindow:
    """ExpCmdSN and MaxCmdSN (RFC 7143 4.2.2.1).

    The window opens by one for each command that ends, so an initiator can never have more than ``depth`` unfinished.
    """

    __slots__ = ("depth", "exp_cmd_sn", "max_cmd_sn")

    def __init__(self, first_cmd_sn: int, depth: int) -> None:
        self.depth = depth
        self.exp_cmd_sn = first_cmd_sn
        self.max_cmd_sn = (first_cmd_sn + depth - 1) & _MASK

    def admits(self, cmd_sn: int) -> bool:
        """Whether a number lies within the window; outside it, a request is ignored."""
        return not before(cmd_sn, self.exp_cmd_sn) and not before(self.max_cmd_sn, cmd_sn)

    def advance(self) -> None:
        """The request with ExpCmdSN was taken."""
        self.exp_cmd_sn = (self.exp_cmd_sn + 1) & _MASK

    def open_by_one(self) -> None:
        """A request that took a place in the window has ended."""
        self.max_cmd_sn = (self.max_cmd_sn + 1) & _MASK


class Session:
    """One session with its single connection (MaxConnections is 1).

    :param target: None for a discovery session.
    """

    def __init__(
        self,
        key: SessionKey,
        tsih: int,
        cid: int,
        target: "Target | None",
        nexus: "Nexus | None",
        window: CommandWindow,
    ) -> None:
        self.key = key
        self.tsih = tsih
        self.cid = cid
        self.target = target
        self.nexus = nexus
        self.window = window
        self.heirs = 0
        """Logins that wait to be its connection."""

    @property
    def ending(self) -> bool:
        """Whether it only waits for its last task."""
        return self.nexus is not None and self.nexus.leases.draining

    def __str__(self) -> str:
        what = f"target {self.target.name}" if self.target else "discovery"
        return f"session {self.tsih} of {self.key.initiator} with {what}"
