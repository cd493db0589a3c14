"""Transports: how commands arrive and answers leave."""

from tgtcore.transport.contract import Host, PortalInfo, SessionInfo, Transport

__all__ = ["Host", "PortalInfo", "SessionInfo", "Transport"]
