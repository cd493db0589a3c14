"""Power cuts beneath a qcow2 image in use: what was flushed is there, QEMU finds no error, and a broken image is told."""

import random
from pathlib import Path

import pytest
from cow import qemu_tools
from oracle.commands import BLOCK_BYTES, read16, synchronize_cache10, write16
from oracle.libiscsi import Answer, Session
from oracle.served import TARGET, Served

_CONFIG = f"""
[logical_units.disk]
device_type = "disk"
store = {{ type = "qcow2", create = true, size = "8M", base = {{ type = "crash", base = {{ type = "file", path = "disk.qcow2", \
create = true, size = "1M" }} }} }}

[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]

[targets."{TARGET}"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""
_CUTS, _BLOCKS = 5, 16
_CUT = ("filter", "do", "disk", "crash", "crash")
_MEDIUM_ERROR = 3


def _served(folder: Path) -> Served:
    return Served.configured(folder, _CONFIG, plugins=("cow", "filters"))


class Disk:
    """Writes to places all over the disk, and knows what must be there."""

    def __init__(self, session: Session, chance: random.Random) -> None:
        self.session = session
        self._chance = chance
        self.flushed: dict[int, bytes] = {}

    def write(self) -> None:
        """Write and flush; then write elsewhere, unflushed."""
        for flushed in (True, False):
            free = [lba for lba in range(0, 16384, _BLOCKS) if lba not in self.flushed]
            for lba in self._chance.sample(free, 5):
                data = self._chance.randbytes(_BLOCKS * BLOCK_BYTES)
                assert self.session.command(write16(lba, _BLOCKS), data_out=data).good
                if flushed:
                    self.flushed[lba] = data
            if flushed:
                assert self.session.command(synchronize_cache10()).good

    def read(self, lba: int) -> Answer:
        """What is there."""
        return self.session.command(read16(lba, _BLOCKS), read=_BLOCKS * BLOCK_BYTES)

    def assert_flushed_is_there(self) -> None:
        """Nothing is lost."""
        self.session.ready()
        for lba, data in self.flushed.items():
            assert self.read(lba).data_in == data, f"block {lba}"


@pytest.mark.timeout(120)
def test_what_was_flushed_is_in_an_image_without_errors(tmp_path: Path) -> None:
    with _served(tmp_path) as daemon, Session(daemon.url) as session:
        session.ready()
        disk = Disk(session, random.Random(11))
        for cut in range(_CUTS):
            disk.write()
            if cut % 3 == 1:
                daemon.admin("snapshot", "create", "disk", f"before-{cut}")
            daemon.admin(*_CUT, "keep=some", f"seed={cut}")
            found = qemu_tools.check(tmp_path / "disk.qcow2", options="file.locking=off,force-share=on,read-only=on")
            assert not found.errors, found.told
            disk.assert_flushed_is_there()
    found = qemu_tools.check(tmp_path / "disk.qcow2")
    assert not found.errors, found.told
    assert len(qemu_tools.snapshots(tmp_path / "disk.qcow2")) == 2


def test_an_image_that_can_not_be_opened_any_more_is_a_medium_error(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    with _served(tmp_path) as daemon, Session(daemon.url) as session:
        session.ready()
        disk = Disk(session, random.Random(12))
        disk.write()
        with image.open("r+b") as file:
            header = file.read(512)
            file.seek(0)
            file.write(bytes(512))
        with pytest.raises(AssertionError, match="no qcow2 image"):
            daemon.admin(*_CUT)
        session.ready()
        lba = min(disk.flushed)
        for cdb, data in ((read16(lba, 1), b""), (write16(lba, 1), bytes(BLOCK_BYTES)), (synchronize_cache10(), b"")):
            answer = session.command(cdb, data_out=data, read=0 if data or cdb[0] == 0x35 else BLOCK_BYTES)
            assert answer.sense_key == _MEDIUM_ERROR, answer
        with image.open("r+b") as file:
            file.write(header)
        daemon.admin(*_CUT)
        disk.assert_flushed_is_there()
        assert "Traceback" not in daemon.log
    assert not qemu_tools.check(image).errors
