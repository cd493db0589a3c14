"""The connections of the transport, each with its socket."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tgtcore_iscsi.connection import Connection
from tgtcore_iscsi.portals import Portal
from tgtcore_iscsi.server import Channel

if TYPE_CHECKING:
    from tgtcore_iscsi.session import Session


class Member:
    """One connection with its socket, as the transport keeps it."""

    def __init__(self, channel: Channel, connection: Connection, portal: Portal, now: float) -> None:
        self.channel = channel
        self.connection = connection
        self.portal = portal
        self.since = now
        """When it was accepted, or began to leave."""
        self.leaving = False
        self.pinged = now
        self.moved_bytes = 0
        """What the channel had moved at the last ping."""
        self.session: Session | None = None
        """The session that ends with this connection."""


class Members:
    """Every connection, logged in or not."""

    def __init__(self) -> None:
        self._by_channel: dict[Channel, Member] = {}
        self._by_connection: dict[Connection, Member] = {}

    def __len__(self) -> int:
        return len(self._by_channel)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_channel.values()))

    def add(self, member: Member) -> None:
        """A connection was accepted."""
        self._by_channel[member.channel] = self._by_connection[member.connection] = member

    def remove(self, channel: Channel) -> Member:
        """Its socket is closed."""
        member = self._by_channel.pop(channel)
        del self._by_connection[member.connection]
        return member

    def of(self, connection: Connection) -> Member | None:
        """The member behind a connection; None when its socket is closed already."""
        return self._by_connection.get(connection)
