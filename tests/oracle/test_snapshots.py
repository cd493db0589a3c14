"""Snapshots of a disk that an initiator writes to by many commands at once: exactly what was acknowledged is in them."""

import random
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from oracle import harsh_stores
from oracle.commands import read16, read_capacity16, write16
from oracle.libiscsi import CHECK_CONDITION, Answer, Session
from oracle.pipelined import PipelinedSession
from oracle.served import TARGET, Served
from support import keeping_file

from tgtcore.management.client import Client

_DEEP, _SNAPSHOTS, _PAUSE_MS_MAX = 24, 5, 5000
_BLOCK, _MIB = 512, 1 << 20
_SIZE = 32 * _MIB
_UNIT_ATTENTION = 6
_MEDIUM_MAY_HAVE_CHANGED, _CAPACITY_DATA_HAS_CHANGED = 0x2800, 0x2A09
_STORES = {
    "copies": f'{{ type = "keeping-file", path = "disk.img", size = {_SIZE} }}',
    "qcow2": f'{{ type = "qcow2", create = true, size = {_SIZE}, '
    'base = { type = "file", path = "disk.img", create = true, size = "1M" } }',
}
_CONFIG = """
plugins = ["iscsi", "disk", "file", "cow", "keeping"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
drain_s = 20
[transports.iscsi]
portals = [{ address = "127.0.0.1:0" }]
[logical_units.disk]
device_type = "disk"
store = STORE
[targets."TARGET"]
transport = "iscsi"
luns = ["disk"]
allow = { initiators = ["*"] }
"""


@pytest.fixture(params=_STORES)
def daemon(request: pytest.FixtureRequest, tmp_path: Path, isolation: str) -> Iterator[Served]:
    text = _CONFIG.replace("STORE", _STORES[request.param]).replace("TARGET", TARGET)
    (tmp_path / "tgtd.toml").write_text(Served.with_isolation(text))
    environment = harsh_stores.environment(tmp_path, {keeping_file.NAME: keeping_file.__name__})
    with Served(tmp_path, "--config", "tgtd.toml", environment=environment) as served:
        yield served


class Writer:
    """Writes numbers to blocks, each to the block of its number, and keeps the order in which they were acknowledged."""

    def __init__(self, url: str) -> None:
        self.session = PipelinedSession(url)
        self.session.ready()
        self.acknowledged: list[int] = []
        self.sent = 0

    def fill(self, most: int = _SIZE // _BLOCK - 1) -> None:
        """Have so many commands under way as there may be, and not more of them in all than ``most``."""
        while self.session.in_flight < _DEEP and self.sent < most:
            self.sent += 1
            number = self.sent
            self.session.start(
                write16(number, 1),
                lambda answer, number=number: self._acknowledge(answer, number),  # type: ignore[misc]
                data_out=block(number),
            )

    def _acknowledge(self, answer: Answer | None, number: int) -> None:
        assert answer is not None
        assert answer.good, answer
        self.acknowledged.append(number)

    def finish(self) -> None:
        """Wait for what is under way."""
        while self.session.in_flight:
            self.session.serve(1)


def block(number: int) -> bytes:
    return struct.pack(">Q", number) * (_BLOCK // 8)


def held(session: Session, most: int) -> set[int]:
    """The numbers that are there."""
    found: set[int] = set()
    for lba in range(0, most + 1, 2048):
        data = session.command(read16(lba, 2048), read=2048 * _BLOCK).data_in
        assert len(data) == 2048 * _BLOCK
        for place in range(2048):
            part = data[place * _BLOCK : (place + 1) * _BLOCK]
            if any(part):
                assert part == block(lba + place), f"block {lba + place} is not what was written"
                found.add(lba + place)
    return found


class Maker(threading.Thread):
    """Makes a snapshot beside the writer, as tgtadm does, but does not start a program each time."""

    def __init__(self, daemon: Served, name: str) -> None:
        super().__init__()
        self._daemon, self._name = daemon, name
        self.made: Any = None

    def run(self) -> None:
        with Client(Path(self._daemon.socket)) as client:
            self.made = client.call("snapshot create", {"unit": "disk", "name": self._name})


@pytest.mark.timeout(180)
def test_a_snapshot_under_load_is_a_prefix_of_what_was_acknowledged(daemon: Served) -> None:
    chance = random.Random(1)
    writer = Writer(daemon.url)
    bounds: dict[str, tuple[int, int]] = {}
    pauses: list[float] = []
    for number in range(_SNAPSHOTS):
        most = _SIZE // _BLOCK // _SNAPSHOTS * (number + 1) - 1  # each snapshot may take its time
        enough = len(writer.acknowledged) + chance.randrange(50, 300)
        while len(writer.acknowledged) < enough:
            writer.fill(most)
            writer.session.serve(1)
        before = len(writer.acknowledged)
        maker = Maker(daemon, f"s{number}")
        maker.start()
        while maker.is_alive():
            writer.fill(most)
            writer.session.serve(0.05)
        assert maker.made is not None
        pauses.append(maker.made["paused_ms"])
        bounds[f"s{number}"] = before, writer.sent
    writer.finish()
    print(f"{writer.sent} writes; paused for {pauses} ms")
    assert max(pauses) < _PAUSE_MS_MAX
    with Session(daemon.url) as reader:
        reader.ready()
        for name, (before, sent) in reversed(bounds.items()):
            daemon.admin("snapshot", "revert", "disk", name, "--force")
            told = reader.command(read16(0, 1), read=_BLOCK)
            assert (told.status, told.sense_key) == (CHECK_CONDITION, _UNIT_ATTENTION)
            assert told.additional_sense == _MEDIUM_MAY_HAVE_CHANGED
            content = held(reader, writer.sent)
            assert content == set(writer.acknowledged[: len(content)]), f"{name} is not a prefix"
            assert before <= len(content) <= sent
    writer.session.drop()


@pytest.mark.timeout(120)
def test_an_initiator_hears_of_another_size(daemon: Served) -> None:
    daemon.admin("snapshot", "create", "disk", "small")
    daemon.admin("lu", "resize", "disk", str(2 * _SIZE))
    with Session(daemon.url) as session:
        session.ready()
        assert session.command(write16(_SIZE // _BLOCK, 1), data_out=block(1)).good
        refused = refused_revert(daemon)
        assert "while initiators have it: nexus iqn.2025-01.example.libiscsi:initiator" in refused
        daemon.admin("snapshot", "revert", "disk", "small", "--force")
        told = [session.command(bytes(6)) for _ in range(3)]
        assert [one.additional_sense for one in told[:2]] == [_MEDIUM_MAY_HAVE_CHANGED, _CAPACITY_DATA_HAS_CHANGED]
        assert told[2].good
        capacity = session.command(read_capacity16(), read=32).data_in
        assert struct.unpack(">Q", capacity[:8])[0] == _SIZE // _BLOCK - 1


def refused_revert(daemon: Served) -> str:
    with pytest.raises(AssertionError) as caught:
        daemon.admin("snapshot", "revert", "disk", "small")
    return str(caught.value)


@pytest.mark.timeout(120)
def test_qemu_finds_the_snapshots_and_no_fault(daemon: Served, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with Session(daemon.url) as session:
        session.ready()
        assert session.command(write16(0, 1), data_out=block(7)).good
        daemon.admin("snapshot", "create", "disk", "one")
        assert session.command(write16(0, 1), data_out=block(8)).good
        daemon.admin("snapshot", "create", "disk")
    names = [row["name"] for row in daemon.admin("snapshot", "list", "disk")]
    daemon.admin("snapshot", "revert", "disk", "one")
    assert daemon.stop() == 0
    image = tmp_path / "disk.img"
    if image.read_bytes()[:4] == b"QFI\xfb":
        said = qemu("check", image)
        assert "No errors were found" in said
        listed = qemu("snapshot", "-l", image)
        assert all(name in listed for name in names)
        qemu("convert", "-O", "raw", image, tmp_path / "raw.img")
        image = tmp_path / "raw.img"
    assert image.read_bytes()[:_BLOCK] == block(7)


@pytest.mark.timeout(120)
def test_a_copy_of_a_snapshot_is_what_the_disk_held(daemon: Served, tmp_path: Path) -> None:
    writer = Writer(daemon.url)
    writer.fill()
    while len(writer.acknowledged) < 500:
        writer.session.serve(0.1)
        writer.fill()
    daemon.admin("snapshot", "create", "disk", "one")
    with ThreadPoolExecutor() as beside:
        copying = beside.submit(daemon.admin, "snapshot", "clone", "disk", "one", str(tmp_path / "copy"))
        while not copying.done():
            writer.session.serve(0.01)
            writer.fill()
        copying.result()
    writer.finish()
    daemon.admin("snapshot", "revert", "disk", "one", "--force")
    assert daemon.stop() == 0
    if (tmp_path / "copy").read_bytes()[:4] == b"QFI\xfb":
        assert "No errors were found" in qemu("check", tmp_path / "copy")
        assert "identical" in qemu("compare", tmp_path / "copy", tmp_path / "disk.img")
    else:
        assert (tmp_path / "copy").read_bytes() == (tmp_path / "disk.img").read_bytes()


def qemu(*words: str | Path) -> str:
    done = subprocess.run(["qemu-img", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
