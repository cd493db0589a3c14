"""What every transport promises, with emulated partitions."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from tgtcore_ibmvio.addressing import VirtualDevice
from tgtcore_ibmvio.client import VioClient
from tgtcore_ibmvio.options import IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.platform.emulated.client import Refused
from tgtcore_ibmvio.transport import IbmvioTransport

from tgtcore import Host, Transport
from tgtcore.testing.transport import TransportConformance
from tgtcore.testing.transport_rig import Answer, Session

ADAPTERS = ("30000003", "30000004", "30000005")


class Initiator:
    def __init__(self, client: VioClient) -> None:
        self._client = client

    def execute(self, cdb: bytes, data_out: bytes, room: int, lun: int) -> Answer:
        field = int.from_bytes(VirtualDevice(0, 0, lun).field, "big")
        response, data = self._client.execute(cdb, field, data_out=data_out, room=room)
        return Answer(response.status, data, response.sense)

    def log_out(self) -> None:
        self._client.log_out()

    def vanish(self) -> None:
        self._client.vanish()


class TestEmulated(TransportConformance):
    target = "lpars"
    target_options = IbmvioTargetOptions(adapters=ADAPTERS)

    @pytest.fixture(autouse=True)
    def _machine(self, tmp_path: Path) -> Iterator[None]:
        self.directory = tmp_path / "vio"
        self.numbers = count(2)
        self.clients: list[VioClient] = []
        yield
        for client in self.clients:
            client.close()

    def make_transport(self, host: Host) -> Transport:
        portals = tuple({"address": address} for address in ADAPTERS)
        return IbmvioTransport(host, IbmvioOptions(portals=portals, emulated={"directory": self.directory}))

    def log_in(self, transport: Transport) -> Session:
        client = self.attach()
        client.connect()
        client.log_in()
        return Initiator(client)

    def attach(self) -> VioClient:
        """Be the client of an adapter that has none."""
        number = next(self.numbers)
        for address in ADAPTERS:
            path = self.directory / f"{address}.sock"
            with suppress(Refused):
                client = VioClient.attach(path, f"lpar{number}", number, requests=8, data_bytes=1 << 19)
                self.clients.append(client)
                return client
        raise ConnectionError("every adapter has a client")


class TestEmulatedBehindARing(TestEmulated):
    behind_a_ring = True
