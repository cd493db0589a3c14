"""A write that hangs when its session is lost never lands over what the same initiator writes afterwards."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from isolation.test_orphans import children
from oracle.harsh_stores import environment
from support import late_store
from support.process import Tgtd
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client, LoginRefused

from tgtcore.testing.waiting import until

_TARGET = "iqn.2026-11.org.example:disk"
_CONFIG = """
plugins = ["iscsi", "disk", "file", "late"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.iscsi]
isolation = "{isolation}"
portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.disk]
device_type = "disk"
store = {{ type = "late-file", path = "disk.img", size = "1M", create = true }}
[targets."iqn.2026-11.org.example:disk"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""
_READY, _WRITE, _READ = bytes(6), bytes.fromhex("2a00000000000000 0100"), bytes.fromhex("2800000000000000 0100")
_OLD, _NEW = b"A" * 512, b"B" * 512


def _log_in(address: Address) -> Client:
    client = Client(address, _TARGET, "iqn.2026-11.org.example:host")
    try:
        client.execute(_READY)  # is told of the power on
    except BaseException:
        client.abort()
        raise
    return client


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_it_is_waited_for(tmp_path: Path, isolation: str) -> None:
    """Also where the process that has served the initiator has died."""
    (tmp_path / "c.toml").write_text(_CONFIG.format(isolation=isolation))
    variables = environment(tmp_path, {late_store.NAME: late_store.__name__})
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env=variables) as tgtd:
        host, port = tgtd.ready["urls"][0].split("/")[2].split(":")
        address = Address(host, int(port))
        lost = _log_in(address)

        def write() -> None:
            with suppress(OSError):
                lost.execute(_WRITE, out=_OLD)

        writing = threading.Thread(target=write)
        writing.start()
        until((tmp_path / "held").exists, what=lambda: tgtd.log)
        if isolation == "process":
            os.kill(*children(tgtd.process.pid), signal.SIGKILL)
            tgtd.wait_log("serves again")
        lost.abort()
        writing.join()

        back: list[Client] = []
        refused: list[str] = []

        def come_back() -> bool:
            try:
                back.append(_log_in(address))
            except LoginRefused as error:
                refused.append(str(error))
            return bool(back)

        trying = threading.Thread(target=lambda: until(come_back, what=lambda: tgtd.log))
        trying.start()
        trying.join(1)
        assert not back, "it is back before its write has landed"
        (tmp_path / "go").touch()
        trying.join()
        (client,) = back
        assert bool(refused) is (isolation == "process"), "within one process a login waits"
        assert (tmp_path / "landed").exists()
        assert client.execute(_WRITE, out=_NEW).status == 0
        assert client.execute(_READ, room=512).data == _NEW
        client.close()
        assert tgtd.stop() == 0
