"""Filters on commands before a disk that a daemon serves: what initiators meet over iSCSI, and that every command ends."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.one_disk import TARGET, WAIT_S, one_disk
from support.process import Tgtd
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client, Outcome

from tgtcore.management.client import Client as Manager
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.waiting import until

INITIATOR, OTHER = "iqn.2025-01.example:host", "iqn.2025-01.example:other"


class Site:
    """A daemon, its configuration, and initiators."""

    def __init__(self, folder: Path, isolation: str) -> None:
        self.folder = folder
        self._isolation = isolation
        self._path = folder / "tgtd.toml"
        self._write("")
        self.tgtd = Tgtd("--config", self._path, "--json", cwd=folder)
        self._manager = Manager(Path(self.tgtd.ready["socket"]))
        self._clients: list[Client] = []

    def _write(self, filters: str) -> None:
        self._path.write_text(
            one_disk(
                '{ type = "memory", size = "1M" }',
                "file",
                "filters",
                drain_s=1,
                unit=f"filters = [{filters}]",
                transport=f'isolation = "{self._isolation}"',
            )
        )

    def use(self, *filters: str) -> None:
        """Have other filters."""
        self._write(", ".join(f"{{ {one} }}" for one in filters))
        self._manager.call("apply", {"text": self._path.read_text(), "folder": str(self.folder)})

    def ask(self, verb: str, **arguments: Any) -> Any:
        """A management verb on the disk."""
        return self._manager.call(verb, {"unit": "data", **arguments})

    def figures(self, name: str) -> Any:
        """What a filter tells."""
        return self.ask("filter show", name=name)["figures"]

    def client(self, name: str = INITIATOR) -> Client:
        """An initiator that has heard of the power on."""
        host, port = self.tgtd.ready["urls"][0].split("/")[2].rsplit(":", 1)
        client = Client(Address(host, int(port)), TARGET, name, timeout_s=WAIT_S)
        self._clients.append(client)
        while client.execute(bytes(6)).status:
            continue
        return client

    def leave(self) -> None:
        self._abort()
        self.use()

    def _abort(self) -> None:
        for client in self._clients:
            client.abort()
        self._clients.clear()

    def close(self) -> None:
        self._manager.close()
        with self.tgtd:
            assert self.tgtd.stop() == 0, self.tgtd.log
        self._abort()
        assert "Traceback" not in self.tgtd.log, self.tgtd.log


@pytest.fixture(scope="module", params=["none", "process"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("served"), request.param)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    """The same daemon for all tests; each begins and ends without filters and initiators."""
    yield served
    served.leave()


def read(client: Client, lba: int, blocks: int = 1) -> Outcome:
    cdb = bytes((0x28, 0)) + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
    return client.execute(cdb, room=blocks * 512)


def write(client: Client, lba: int, data: bytes) -> Outcome:
    cdb = bytes((0x2A, 0)) + lba.to_bytes(4, "big") + b"\0" + (len(data) // 512).to_bytes(2, "big") + b"\0"
    return client.execute(cdb, out=data)


class Aside:
    """Does something in a thread of its own."""

    def __init__(self, what: Callable[[], Any]) -> None:
        self._what = what
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._what()
        except OSError as error:
            self.result = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def wait(self) -> Any:
        self._thread.join(WAIT_S)
        assert self.ended
        return self.result


def test_errors_delays_and_rates_for_chosen_commands(site: Site) -> None:
    site.use(
        'type = "error", commands = "reads", lba = "100-107", sense = "3/11/00"',
        'type = "delay", commands = "VERIFY (10)", seconds = 0.2',
        'type = "rate", commands = "writes", iops = 50',
        'type = "error", name = "busy", initiators = "*:other", commands = "reads", status = "BUSY"',
    )
    client, other = site.client(), site.client(OTHER)
    bad = read(client, 96, 8)
    assert bad.status == Status.CHECK_CONDITION
    sense = parse_sense(bad.sense)
    assert (sense.key, sense.code, sense.information) == (SenseKey.MEDIUM_ERROR, (0x11, 0), 100)
    assert read(client, 0).status == Status.GOOD
    assert read(other, 0).status == Status.BUSY
    begin = time.monotonic()
    assert client.execute(bytes.fromhex("2f 00 00000000 00 0001 00")).status == Status.GOOD
    assert time.monotonic() - begin >= 0.2
    begin = time.monotonic()
    for number in range(11):
        assert write(client, number, bytes((number,)) * 512).status == Status.GOOD
    assert time.monotonic() - begin >= 0.19
    site.use()
    assert read(client, 0, 11).data == b"".join(bytes((number,)) * 512 for number in range(11))
    assert read(client, 100).status == read(other, 0).status == Status.GOOD


def test_an_error_while_there_is_a_file_beside_the_configuration(site: Site) -> None:
    site.use('type = "error", commands = "flushes", while_file_exists = "full", errno = "ENOSPC"')
    client, switch = site.client(), site.folder / "full"
    flush = bytes((0x35,)).ljust(10, b"\0")
    assert client.execute(flush).status == Status.GOOD
    switch.touch()
    assert parse_sense(client.execute(flush).sense).key is SenseKey.DATA_PROTECT
    switch.unlink()
    assert client.execute(flush).status == Status.GOOD


def test_a_command_in_a_black_hole_until_it_is_released(site: Site) -> None:
    site.ask("filter add", type="black-hole", keys=["commands=WRITE (10)"], name="hole")
    client, other = site.client(), site.client(OTHER)
    writing = Aside(lambda: write(client, 205, b"1" * 512))
    until(lambda: site.figures("hole")["held"] == 1)
    assert read(other, 205).data[:1] == bytes(1)
    assert not writing.ended
    assert site.ask("filter do", name="hole", action="release", keys=["count=1"])["result"] == {
        "released": 1,
        "held": 0,
    }
    assert writing.wait().status == Status.GOOD
    assert read(other, 205).data == b"1" * 512


def test_what_is_held_goes_on_when_its_filter_goes(site: Site) -> None:
    site.use('type = "black-hole", commands = "writes"')
    client = site.client()
    writing = Aside(lambda: write(client, 206, b"2" * 512))
    until(lambda: site.figures("black-hole")["held"] == 1)
    site.ask("filter remove", name="black-hole")
    assert writing.wait().status == Status.GOOD
    assert read(client, 206).data == b"2" * 512


def test_an_initiator_that_goes_away_takes_its_commands_with_it(site: Site) -> None:
    site.use('type = "black-hole", commands = "writes"')
    client, other = site.client(), site.client(OTHER)
    writing = Aside(lambda: write(client, 207, b"3" * 512))
    until(lambda: site.figures("black-hole")["held"] == 1)
    client.abort()
    assert isinstance(writing.wait(), OSError)
    until(lambda: site.figures("black-hole")["held"] == 0)
    site.use()
    assert read(other, 207).data == bytes(512)


@pytest.mark.parametrize("kind", ["cache", "crash"])
def test_what_is_volatile_outlives_a_filter_beneath_it_that_tears_every_write(site: Site, kind: str) -> None:
    site.ask("filter add", type=kind, name="volatile")
    client = site.client()
    assert write(client, 208, b"4" * 512).status == Status.GOOD
    before = site.figures("volatile")
    site.ask("filter add", type="torn", keys=[])
    assert write(client, 209, b"5" * 512).status == Status.GOOD
    after = site.figures("volatile")
    if kind == "crash":
        assert after["initiators"][INITIATOR]["writes"] == before["initiators"][INITIATOR]["writes"] + 1 == 2
    else:
        assert after["written_back_bytes"] == before["volatile_bytes"] == 512
    flush = bytes((0x35,)).ljust(10, b"\0")
    assert client.execute(flush).status == Status.CHECK_CONDITION
    site.ask("filter remove", name="torn")
    site.ask("filter remove", name="volatile")
    assert read(client, 208, 2).data == b"4" * 512 + b"5" * 512


def test_every_command_is_logged_and_counted(site: Site) -> None:
    client = site.client()
    site.use('type = "log", path = "commands.jsonl"', 'type = "stats"')
    written = [write(client, number, bytes(1024)).status for number in range(30)]
    refused = read(client, 1 << 30)
    stats = site.figures("stats")["commands"]
    site.use()
    lines = [json.loads(line) for line in (site.folder / "commands.jsonl").read_text().splitlines()]
    assert [line["blocks"] for line in lines] == [*([[number, 2]] for number in range(30)), [[1 << 30, 1]]]
    assert [line["status"] for line in lines] == ["GOOD"] * 30 + ["CHECK CONDITION"]
    assert lines[-1]["sense"] == parse_sense(refused.sense).describe()
    assert {line["initiator"] for line in lines} == {INITIATOR}
    assert sum(line["bytes_out"] for line in lines) == 30 * 1024 == stats["WRITE (10)"]["bytes_out"]
    assert (stats["WRITE (10)"]["count"], stats["READ (10)"]["errors"]) == (30, 1)
    assert written == [Status.GOOD] * 30


def test_a_daemon_stops_although_commands_are_held(tmp_path: Path) -> None:
    site = Site(tmp_path, "none")
    try:
        site.use('type = "black-hole", commands = "writes"')
        client = site.client()
        writing = Aside(lambda: write(client, 5, b"x" * 512))
        until(lambda: site.figures("black-hole")["held"] == 1)
    finally:
        site.close()
    assert isinstance(writing.wait(), Outcome | OSError)
