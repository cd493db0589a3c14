"""Transports: how commands arrive and answers leave."""

from tgtcore.transport.contract import Account, Host, PortalInfo, SessionInfo, Transport
from tgtcore.transport.driver import Driver, LocalDriver
from tgtcore.transport.foreign import ForeignTransport

__all__ = ["Account", "Driver", "ForeignTransport", "Host", "LocalDriver", "PortalInfo", "SessionInfo", "Transport"]
