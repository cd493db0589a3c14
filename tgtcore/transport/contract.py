"""What a transport author writes, and what the core offers in return.

A transport listens, logs initiators in, makes a :class:`~tgtcore.task.Task` of each command and sends the answers.  It asks the
:class:`Host` for everything else.  All calls in both directions come on the loop's thread.  Test a transport with
:class:`tgtcore.testing.transport.TransportConformance`.
"""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

from tgtcore.options import NoOptions
from tgtcore.scsi.lun import encode_lun

if TYPE_CHECKING:
    from tgtcore.nexus import InitiatorPort, Nexus, TargetPort
    from tgtcore.target import Target


@dataclass(frozen=True)
class Account:
    """A user name and its secret.

    ``repr`` hides the secret; never format it into a message.
    """

    name: str
    secret: bytes = field(repr=False)


class Host(Protocol):
    """What the core offers to a transport."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""

    def targets(self) -> Iterable["Target"]:
        """The targets of this transport."""

    def find_target(self, name: str) -> "Target | None":
        """A target of this transport by name."""

    def account(self, name: str) -> Account | None:
        """A configured account."""

    def admits(self, target: "Target", initiator_port: "InitiatorPort", portal: str) -> bool:
        """Whether the initiator may log in: access list and ``tgt_authorize_login`` hooks; False unless someone says yes."""

    def open_nexus(self, target: "Target", initiator_port: "InitiatorPort", target_port: "TargetPort") -> "Nexus":
        """Open an I_T nexus.

        :raises NexusInUse: commands of the same initiator port have not ended that came before its nexus was lost, perhaps with the
            process of the transport; its initiator is to try again.
        :raises TgtError: it is not open: the target is going away, or a plugin failed.
        """

    def inherited(self, address: str) -> socket.socket | None:
        """A socket that listens at an address already, to be used in the place of a new one; the transport owns it from then on.

        The service manager may have opened it, or the daemon that this one takes the place of.  Initiators may be waiting in it.

        :param address: what would be bound: ``host:port`` or ``[v6]:port`` with a numeric host, or a path.
        :returns: None when there is none, or no more.
        """


@dataclass(frozen=True)
class PortalInfo:
    """One open portal, for show.

    :param configured: the address in the options, where it is another one, such as one with port 0.
    """

    address: str
    group: int
    advertised: str = ""
    connections: int = 0
    configured: str = ""


@dataclass(frozen=True)
class SessionInfo:
    """One session, for show.

    :param id: what ``tgtadm session remove`` takes; unique in the transport.
    :param details: transport-specific figures.
    :param portal: the ``address`` of the portal that it came through; empty without portals.
    :param nexus: its I_T nexus, as :meth:`Host.open_nexus` has given it.
    """

    id: str
    target: str
    initiator: str
    address: str
    tasks: int
    details: Mapping[str, Any] = field(default_factory=dict)
    portal: str = ""
    nexus: "Nexus | None" = None


class Transport(ABC):
    """A way for initiators to reach logical units.

    Life: made → :meth:`start` → targets come and go → :meth:`stop_listening` → :meth:`close`.  It may :meth:`start` again after
    :meth:`stop_listening`.

    When something goes away, it is the core that waits and decides; the transport asks initiators to log out, and ends sessions
    when it is told to.

    :param host: the core's services.
    :param options: an instance of ``Options``.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """Configuration keys under ``[transports.<name>]``."""

    TargetOptions: ClassVar[type[BaseModel]] = NoOptions
    """The transport's own configuration keys of each target."""

    protocol: ClassVar[int]
    """Protocol identifier (SPC-5 table 477)."""

    def __init__(self, host: Host, options: BaseModel) -> None:
        self.host = host
        self.options = options

    @classmethod
    def check_target_name(cls, name: str) -> str | None:
        """What is wrong with a target's name, with an example of a right one; None when it is right."""
        return None

    @classmethod
    def reported_luns(cls, target: "Target", luns: Iterable[int], asked: int) -> list[bytes]:
        """The LUN fields that REPORT LUNS names, for a transport whose initiators address logical units in a way of their own.

        Asked where the logical units are, wherever the transport runs.

        :param luns: the LUNs that the nexus has, in order.
        :param asked: the LUN field that the command is for, as the transport has given it to the task.
        """
        return [encode_lun(lun) for lun in luns]

    def target_ports(self, target: "Target") -> list["TargetPort"]:
        """The target ports through which a target can be reached."""
        return []

    @abstractmethod
    async def start(self) -> None:
        """Open every portal, or none.

        :raises OSError: a portal can't be opened; the message names it.
        """

    @abstractmethod
    async def stop_listening(self) -> None:
        """Take no new connections; sessions that are there go on, while logins that are under way end without one."""

    def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Ask initiators to end their sessions by themselves, where the protocol can say that; returns at once.

        Their commands are served until then; a session that is still there after some time is dropped.
        """
        return

    @abstractmethod
    async def drop_target(self, target: "Target") -> None:
        """End everything with a target now, logins under way included; returns when its last command has ended.

        The target takes no new nexus.
        """

    @abstractmethod
    async def close(self) -> None:
        """End every session and connection now; returns when the last command has ended."""

    def luns_changed(self, target: "Target") -> None:
        """Initiators find other LUNs behind a target than before, some of them at least; REPORT LUNS tells each nexus which.

        By itself the core tells initiators with a unit attention.  This is for a transport that has a way of its own.
        """
        return

    def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """The sockets that listen, each with the address by which a successor asks :meth:`Host.inherited` for it.

        They stay the transport's; the caller duplicates them.  Empty for a transport that has none to hand over.
        """
        return []

    def portals(self) -> list[PortalInfo]:
        """The portals that are open."""
        return []

    def sessions(self) -> list[SessionInfo]:
        """The sessions that are logged in."""
        return []

    async def drop_session(self, session_id: str) -> bool:
        """End one session now; returns when its last command has ended; False when there is none with that id."""
        return False

    async def apply_options(self, options: BaseModel) -> None:
        """Take new options into force while running: open and close portals, keep what did not change.

        Sessions go on that came through a portal which closes, while logins under way through it end without one.

        :raises OSError: a new portal can't be opened; then nothing has changed.
        """
        self.options = options

    def urls(self, target: "Target", lun: int) -> list[str]:
        """Addresses of a logical unit that initiators' tools understand."""
        return []

    def statistics(self) -> dict[str, Any]:
        """Figures for ``tgtadm stat``."""
        return {}
