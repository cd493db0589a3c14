"""What every transport promises, of that of Xen, with guests of an emulated machine."""

from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TypeVar

import pytest
from tgtcore_xen.keeping import wishes
from tgtcore_xen.options import XenOptions, XenTargetOptions
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.transport import XenTransport

from tgtcore import Transport
from tgtcore.testing.host import TestHost
from tgtcore.testing.transport import TransportConformance

_Front = TypeVar("_Front")
_GUESTS = ("web1", "web2", "web3")


class XenConformance(TransportConformance):
    """The conformance kit; who derives it says how a guest logs in."""

    target = "disks"
    target_options = XenTargetOptions()
    machine: EmulatedXen
    names: Iterator[str]
    """Of guests that do not exist so far."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """These guests let go of nothing when they are asked to; nobody waits for that."""
        monkeypatch.setattr(wishes, "LETS_GO_S", 0.2)
        self.names = iter(_GUESTS)
        self.journal = tmp_path / "journal"

    def make_transport(self, host: TestHost) -> XenTransport:
        """One that offers each guest a virtual HBA."""
        self.machine = EmulatedXen.named("lab", host.loop)
        portals = tuple({"address": f"{guest}/0", "target": self.target} for guest in _GUESTS)
        options = XenOptions(
            portals=portals, platform="emulated", emulated={"machine": "lab"}, journal=self.journal, close_s=1
        )
        return XenTransport(host, options)

    @staticmethod
    def connected(transport: Transport, guest: str, connecting: "Future[_Front]") -> "_Front":
        """Wait until the front end of a guest is connected.

        :raises ConnectionRefusedError: the guest is offered nothing.
        """
        while not wait({connecting}, 0.01).done:
            if transport.statistics()["hbas"][f"{guest}/0"]["state"] in ("leads nowhere", "trying again"):
                connecting.cancel()
                raise ConnectionRefusedError("the guest is offered nothing")
        return connecting.result()
