"""Virtual SCSI as a daemon serves it by its configuration: what client partitions meet, from a scan to a daemon that comes back."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.served_hbas import BLOCK, CAPACITY, READY, ServedHbas, transfer
from tgtcore_ibmvio.addressing import VirtualDevice
from tgtcore_ibmvio.client import Rejected, VioClient
from tgtcore_ibmvio.crq.elements import INIT

from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status

CONFIG = """
plugins = ["ibmvio", "disk", "file"]
[daemon]
socket = "tgtd.socket"
state_directory = "state"
drain_s = 1
[transports.ibmvio]
isolation = "none"
portals = [{ address = "30000003", location = "U9117.MMA.1023456-V1-C3" }]
[transports.ibmvio.emulated]
directory = "DIRECTORY"
[logical_units.root]
device_type = "disk"
store = { type = "file", path = "root.img", create = true, size = "1M" }
[logical_units.data]
device_type = "disk"
store = { type = "memory", size = "2M" }
[targets.lpar2]
transport = "ibmvio"
adapters = ["U9117.MMA.1023456-V1-C3"]
luns = ["root", "data"]
devices = { "0:1:0" = 0, "0:2:0" = 1 }
allow = { initiators = ["lpar2"] }
"""
INQUIRY = bytes.fromhex("120000006000")
REPORT_LUNS = bytes.fromhex("a00000000000000010000000")


class Site(ServedHbas):
    """A daemon and its client partitions."""

    def __init__(self, folder: Path, isolation: str) -> None:
        self.clients: list[VioClient] = []
        super().__init__(folder, "ibmvio", CONFIG, isolation, DIRECTORY=folder / "vio")

    def client(self, name: str = "lpar2", adapter: str = "30000003") -> VioClient:
        """A client partition that has shaken hands."""
        client = VioClient.attach(self.folder / "vio" / f"{adapter}.sock", name, 2, requests=8)
        self.clients.append(client)
        client.connect()
        return client

    def shown(self, adapter: str = "30000003") -> Any:
        return self.show(adapter)


@pytest.fixture(scope="module", params=["none", pytest.param("process", marks=pytest.mark.slow)])
def served(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    """One daemon for all tests: it takes most of their time to start."""
    site = Site(tmp_path_factory.mktemp("site"), request.param)
    yield site
    site.stop()


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    yield served
    for client in served.clients:
        client.close()
    served.clients.clear()


def lun(device: str) -> int:
    return int.from_bytes(VirtualDevice.parse(device).field, "big")


def run(client: VioClient, cdb: bytes, device: str, **how: Any) -> bytes:
    """Data of a command, which is repeated until all unit attentions are told."""
    while True:
        response, data = client.execute(cdb, lun(device), **how)
        if response.status == Status.CHECK_CONDITION and response.sense[2] == SenseKey.UNIT_ATTENTION:
            continue
        assert response.status == Status.GOOD, response
        return data


def scan(client: VioClient) -> list[str]:
    """The virtual devices of bus 0 that a client finds as Linux looks for them."""
    found = []
    for target in range(4):
        run(client, INQUIRY, f"0:{target}:0", room=96)
        data = run(client, REPORT_LUNS, f"0:{target}:0", room=4096)
        for at in range(8, 8 + int.from_bytes(data[:4], "big"), 8):
            device = f"0:{target}:{data[at + 1]}"
            if run(client, INQUIRY, device, room=96)[0] == 0:
                found.append(device)
    return found


def test_a_client_finds_its_devices_and_uses_them(site: Site) -> None:
    client = site.client()
    client.log_in()
    assert scan(client) == ["0:1:0", "0:2:0"]
    for device, size in (("0:1:0", 1 << 20), ("0:2:0", 2 << 20)):
        capacity = run(client, CAPACITY, device, room=8)
        assert int.from_bytes(capacity[:4], "big") == size // BLOCK - 1
        for pieces, blocks in ((1, 1), (3, 8), (5, 300)):
            data = os.urandom(blocks * BLOCK)
            run(client, transfer(0x2A, 7, blocks), device, data_out=data, pieces=pieces)
            assert (
                run(client, transfer(0x28, 7, blocks), device, room=len(data), pieces=pieces, table_only=True) == data
            )
    shown = site.shown()
    assert (shown["state"], shown["partner"], shown["sessions"]) == ("connected", "lpar2 (2)", 1)
    (session,) = site.tgtd.admin("session", "list")
    assert (session["id"], session["initiator"], session["portal"]) == ("30000003", "lpar2", "30000003")


def test_who_is_not_allowed_stays_outside(site: Site) -> None:
    with pytest.raises(Rejected):
        site.client("lpar3").log_in()
    assert site.tgtd.admin("session", "list") == []


def test_an_adapter_is_added_and_removed_while_the_daemon_runs(site: Site) -> None:
    client = site.client()
    client.log_in()
    site.tgtd.admin("portal", "add", "30000004", "--transport", "ibmvio")
    assert [portal["address"] for portal in site.tgtd.admin("portal", "list")] == ["30000003", "30000004"]
    assert site.shown("30000004")["state"] == "closed", "it leads to no target"
    site.tgtd.admin("portal", "remove", "30000004", "--transport", "ibmvio")
    assert list(site.tgtd.admin("ibmvio", "show")) == ["30000003"]
    assert run(client, READY, "0:1:0") == b""


def test_a_session_that_is_removed_may_come_again(site: Site) -> None:
    client = site.client()
    client.log_in()
    site.tgtd.admin("session", "remove", "30000003", "--transport", "ibmvio")
    with pytest.raises(ConnectionError):
        client.execute(READY, lun("0:1:0"))
    client.close()
    again = site.client()
    again.log_in()
    assert run(again, READY, "0:1:0") == b""


@pytest.mark.parametrize("thing", [("target", "lpar2"), ("transport", "ibmvio")], ids=lambda thing: thing[0])
def test_what_is_drained_and_opened_again(site: Site, thing: tuple[str, str]) -> None:
    noun, name = thing
    client = site.client()
    client.log_in()
    site.tgtd.admin(noun, "drain", name, "--force")
    with pytest.raises(ConnectionError):
        client.execute(READY, lun("0:1:0"))
    assert site.shown()["state"] == "takes no logins"
    client.connect(greet=False)
    client.partition.send(INIT)
    assert client.partition.receive(1.5) == [], "it has to wait"
    site.tgtd.admin(noun, "reopen", name)
    client.shake_hands()
    client.log_in()
    assert run(client, READY, "0:1:0") == b""


def test_a_target_that_is_removed_while_its_client_waits(site: Site) -> None:
    client = site.client()
    client.log_in()
    site.tgtd.admin("target", "drain", "lpar2", "--force")
    with pytest.raises(ConnectionError):
        client.execute(READY, lun("0:1:0"))
    client.connect(greet=False)
    client.partition.send(INIT)
    site.tgtd.admin("target", "remove", "lpar2")
    with pytest.raises(ConnectionError):
        client.shake_hands()
    assert site.shown()["state"] == "closed"
    site.tgtd.admin("apply", site.folder / "tgtd.toml")
    client.connect()
    client.log_in()
    assert run(client, READY, "0:1:0") == b""


def test_a_client_that_is_suspended_goes_on_with_its_session(site: Site) -> None:
    client = site.client()
    client.log_in()
    data = os.urandom(16 * BLOCK)
    run(client, transfer(0x2A, 3, 16), "0:2:0", data_out=data)
    tags = [client.begin(transfer(0x28, 3, 16), lun("0:2:0"), room=len(data)) for _ in range(5)]
    client.suspend()
    assert site.shown()["state"] == "suspended"
    answers = [client.receive() for _ in tags]
    assert sorted(tag for tag, _ in answers) == tags
    tag = client.begin(READY, lun("0:2:0"))
    assert client.partition.receive(0.2) == [], "nobody listens"
    client.resume()
    assert client.receive()[0] == tag
    assert run(client, transfer(0x28, 3, 16), "0:2:0", room=len(data)) == data


def test_a_client_that_migrates_logs_in_again(site: Site) -> None:
    client = site.client()
    client.log_in()
    client.begin(READY, lun("0:2:0"))
    client.suspend()
    client.migrate()
    client.log_in()
    assert run(client, READY, "0:2:0") == b""
    assert len(site.tgtd.admin("session", "list")) == 1


def test_a_logical_unit_comes_and_goes(site: Site) -> None:
    client = site.client()
    client.log_in()
    site.tgtd.admin("lun", "remove", "lpar2", "1")
    assert scan(client) == ["0:1:0"]
    site.tgtd.admin("lun", "add", "lpar2", "1", "data")
    assert scan(client) == ["0:1:0", "0:2:0"]


def test_a_daemon_that_comes_back_has_what_was_written(site: Site) -> None:
    client = site.client()
    client.log_in()
    data = os.urandom(64 * BLOCK)
    run(client, transfer(0x2A, 9, 64), "0:1:0", data_out=data)
    site.stop()
    with pytest.raises(ConnectionError):
        client.execute(READY, lun("0:1:0"))
    site.start()
    again = site.client()
    again.log_in()
    assert run(again, transfer(0x28, 9, 64), "0:1:0", room=len(data)) == data
