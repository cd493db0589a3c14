"""Transports: how commands arrive and answers leave."""

from tgtcore.transport.contract import Account, Host, PortalInfo, SessionInfo, Transport
from tgtcore.transport.driver import Driver, LocalDriver

__all__ = ["Account", "Driver", "Host", "LocalDriver", "PortalInfo", "SessionInfo", "Transport"]
