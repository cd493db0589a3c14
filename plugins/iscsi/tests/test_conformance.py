"""What every transport promises."""

from tgtcore_iscsi.addresses import parse_address
from tgtcore_iscsi.initiator.client import Client
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions, PortalOptions
from tgtcore_iscsi.transport import IscsiTransport

from tgtcore import Host, Transport
from tgtcore.testing.transport import TransportConformance
from tgtcore.testing.transport_rig import Answer, Session

TARGET = "iqn.2026-11.org.example:kit"


class Initiator:
    def __init__(self, client: Client) -> None:
        self._client = client

    def execute(self, cdb: bytes, data_out: bytes, room: int, lun: int) -> Answer:
        outcome = self._client.execute(cdb, out=data_out, room=room, lun=lun)
        return Answer(outcome.status, outcome.data, outcome.sense)

    def log_out(self) -> None:
        self._client.close()

    def vanish(self) -> None:
        self._client.abort()


class TestIscsi(TransportConformance):
    target = TARGET
    target_options = IscsiTargetOptions()

    def make_transport(self, host: Host) -> Transport:
        return IscsiTransport(host, IscsiOptions(portals=(PortalOptions(address="127.0.0.1:0"),)))

    def log_in(self, transport: Transport) -> Session:
        address = parse_address(transport.portals()[0].address)
        return Initiator(Client(address, TARGET, "iqn.2026-11.org.example:host"))


class TestIscsiBehindARing(TestIscsi):
    behind_a_ring = True
