"""Management datagrams: how a client and a virtual I/O server get to know each other, beside SRP."""

from tgtcore_ibmvio.mad.records import OsType, PartnerRecord
from tgtcore_ibmvio.mad.service import BadDatagram, MadService

__all__ = ["BadDatagram", "MadService", "OsType", "PartnerRecord"]
