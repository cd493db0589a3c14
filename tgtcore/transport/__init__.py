"""Transports: how commands arrive and answers leave."""

from tgtcore.transport.contract import Account, Host, PortalInfo, SessionInfo, Transport

__all__ = ["Account", "Host", "PortalInfo", "SessionInfo", "Transport"]
