"""The iSCSI transport as the core sees it: portals, connections, sessions."""

import asyncio
import logging
import socket
from collections.abc import Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from tgtcore import Host, PortalInfo, SessionInfo, Target, TargetPort, Transport, signals
from tgtcore_iscsi.connection import Connection
from tgtcore_iscsi.discovery import FindTargets, TargetRecord
from tgtcore_iscsi.gatekeeper import PROTOCOL, Gatekeeper, initiator_port, own_options, target_port
from tgtcore_iscsi.login_phase import LoginPhase
from tgtcore_iscsi.members import Member, Members
from tgtcore_iscsi.memory import Memory
from tgtcore_iscsi.names import InvalidName, own_name
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions
from tgtcore_iscsi.portals import Portal, Portals
from tgtcore_iscsi.reception import Reception
from tgtcore_iscsi.server import Channel
from tgtcore_iscsi.session import Session
from tgtcore_iscsi.sessions import Sessions

if TYPE_CHECKING:
    from tgtcore_iscsi.addresses import Address

_log = logging.getLogger(__name__)

_TICK_S = 1.0
_LIFE_BYTES = 4096
"""Whoever moves so much between two pings lives, and may have the ping or its answer behind a long transfer."""


class IscsiTransport(Transport):
    """iSCSI over TCP (RFC 7143), ErrorRecoveryLevel 0, one connection in a session."""

    Options: ClassVar[type[BaseModel]] = IscsiOptions
    TargetOptions: ClassVar[type[BaseModel]] = IscsiTargetOptions
    protocol: ClassVar[int] = PROTOCOL

    options: IscsiOptions

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self._portals = Portals(self._accepted, self._portal_closed, host.inherited)
        self._members = Members()
        self._sessions = Sessions()
        self._reception = Reception(
            host, self._members, self._sessions, lambda: self.options.queue_depth, self._targets_for
        )
        self._ticker: asyncio.TimerHandle | None = None
        self._memory = Memory()

    @classmethod
    def check_target_name(cls, name: str) -> str | None:
        """What is wrong with an iSCSI name."""
        try:
            own_name(name)
        except InvalidName as error:
            return str(error)
        return None

    def target_ports(self, target: Target) -> list[TargetPort]:
        """One port for each portal group that reaches the target."""
        groups = own_options(target).portal_groups
        return [target_port(target, tag) for tag in self._portals.groups() if not groups or tag in groups]

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open every portal, or none."""
        self._portals.apply(self.options.portals, self.host.loop)
        if self._ticker is None:
            self._ticker = self.host.loop.call_later(_TICK_S, self._tick)

    async def apply_options(self, options: BaseModel) -> None:
        """Open and close portals; the rest is in force for the next logins."""
        assert isinstance(options, IscsiOptions)
        self._portals.apply(options.portals, self.host.loop)
        self.options = options

    async def stop_listening(self) -> None:
        """Close every portal."""
        self._portals.close()

    def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Send Async Message 1 (RFC 7143 11.9.1)."""
        for session, connection in self._sessions:
            if str(session.tsih) in session_ids and connection.session_phase is not None and not connection.closing:
                connection.session_phase.services.ask_to_log_out(within_s)

    async def drop_target(self, target: Target) -> None:
        """End the target's sessions; logins under way find it gone."""
        target.leases.shut()
        await self._drop(self._sessions.of_target(target))

    async def drop_session(self, session_id: str) -> bool:
        """End one session at once."""
        pair = self._sessions.by_id(int(session_id)) if session_id.isdigit() else None
        if pair is None:
            return False
        await self._drop([pair])
        return True

    async def close(self) -> None:
        """End every session, then every connection."""
        self._portals.close()
        await self._drop(self._sessions)
        if self._ticker is not None:
            self._ticker.cancel()
        for member in self._members:
            member.channel.close("the daemon stops")

    async def _drop(self, pairs: Iterable[tuple[Session, Connection]]) -> None:
        """Close connections when everything is sent; return when the last task of their sessions has ended."""
        ends = []
        for session, connection in pairs:
            ended = self.host.loop.create_future()
            ends.append(ended)
            connection.close_when_sent("the session was removed")
            self._sessions.end(session, partial(_set, ended))
        for ended in ends:
            await ended

    # ---- connections ------------------------------------------------------------------------------------------------

    def _accepted(self, sock: socket.socket, portal: Portal) -> None:
        if len(self._members) >= self.options.connections_max:
            signals.emit(signals.limit_reached, self, limit="connections_max", value=self.options.connections_max)
            sock.close()
            return
        channel = Channel(sock, self.host.loop, self._closed)
        connection = Connection(str(channel.peer), self, channel.wake, self._memory)
        policy = Gatekeeper(self.host, self.options, self._sessions, portal, channel.peer)
        connection.phase = LoginPhase(connection, policy, self._reception)
        self._members.add(Member(channel, connection, portal, self.host.loop.time()))
        channel.start(connection)

    def _portal_closed(self, portal: Portal) -> None:
        """End what came through it and has no session: logins, which nobody would see off, and discoveries."""
        for member in self._members:
            if member.portal is portal and member.session is None and not member.connection.closing:
                member.channel.close(f"{portal} was closed")

    def _closed(self, channel: Channel, why: str) -> None:
        member = self._members.remove(channel)
        _log.info("%s ended: %s", member.connection, why)
        if member.session is not None:
            self._sessions.end(member.session)

    def _tick(self) -> None:
        """Close what takes too long to log in or to take our last words, and initiators that do not answer; once a second.

        Whoever is not read from can't answer.
        """
        self._ticker = self.host.loop.call_later(_TICK_S, self._tick)
        now = self.host.loop.time()
        interval_s = self.options.nop_interval_s
        for member in self._members:
            connection = member.connection
            phase = connection.session_phase
            if connection.closing and not member.leaving:
                member.leaving, member.since = True, now
            if phase is None or member.leaving:
                if now - member.since > self.options.login_timeout_s:
                    member.channel.close(connection.closing or "the login took too long")
            elif interval_s and now - member.pinged >= interval_s and phase.can_take_more:
                member.pinged = now
                moved = member.channel.moved_bytes - member.moved_bytes
                member.moved_bytes += moved
                if not phase.services.ping() and moved < _LIFE_BYTES:
                    member.channel.close(f"no answer to a ping within {interval_s:g} s")

    def cold_reset(self, session: Session) -> None:
        """TARGET COLD RESET: every session with the target ends (RFC 7143 11.5.1)."""
        assert session.target is not None
        for _, connection in self._sessions.of_target(session.target):
            connection.close_when_sent("target cold reset")

    def _targets_for(self, member: Member) -> FindTargets:
        """What SendTargets tells on a connection: targets that would admit this initiator, with their portals."""

        def find(name: str) -> list[TargetRecord]:
            phase = member.connection.session_phase
            assert phase is not None
            key = phase.session.key
            port = initiator_port(key.initiator, key.isid, member.channel.peer)
            where = str(member.portal.listener.address)
            return [
                TargetRecord(target.name, tuple(self._reachable_at(target, member.channel.local)))
                for target in self.host.targets()
                if name in ("", target.name) and self.host.admits(target, port, where)
            ]

        return find

    def _reachable_at(self, target: Target, local: "Address") -> "list[tuple[Address, int]]":
        groups = own_options(target).portal_groups
        return [
            (portal.address_for(local), portal.group)
            for portal in self._portals
            if not groups or portal.group in groups
        ]

    # ---- for show and for a successor --------------------------------------------------------------------------------

    def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """The sockets of the portals."""
        return self._portals.listening_sockets()

    def portals(self) -> list[PortalInfo]:
        """The portals that are open."""
        return [
            PortalInfo(
                str(portal.listener.address),
                portal.group,
                portal.options.advertise or "",
                sum(member.portal is portal for member in self._members),
                portal.options.address,
            )
            for portal in self._portals
        ]

    def sessions(self) -> list[SessionInfo]:
        """The normal sessions that are logged in."""
        return [
            SessionInfo(
                str(session.tsih),
                session.key.target,
                session.key.initiator,
                connection.peer,
                len(session.nexus.tasks) if session.nexus else 0,
                {"isid": session.key.isid.hex(), "portal_group": session.key.portal_group, "cid": session.cid},
                self._portal_of(connection),
                session.nexus,
            )
            for session, connection in self._sessions
        ]

    def _portal_of(self, connection: Connection) -> str:
        """Where a connection came in; nowhere any more when its socket is closed."""
        member = self._members.of(connection)
        return str(member.portal.listener.address) if member is not None else ""

    def urls(self, target: Target, lun: int) -> list[str]:
        """Addresses as libiscsi and QEMU write them."""
        groups = own_options(target).portal_groups
        return [
            f"iscsi://{portal.options.advertise or portal.listener.address}/{target.name}/{lun}"
            for portal in self._portals
            if not groups or portal.group in groups
        ]

    def statistics(self) -> dict[str, Any]:
        """Figures for ``tgtadm stat``."""
        return {
            "connections": len(self._members),
            "sessions": len(self._sessions),
            "held_bytes": self._memory.held_bytes,
        }


def _set(ended: "asyncio.Future[None]") -> None:
    """What somebody waits for has come; nobody may be waiting any more."""
    if not ended.done():
        ended.set_result(None)
