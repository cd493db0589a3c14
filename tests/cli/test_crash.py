"""A daemon that is killed and started again is the same one to its initiators."""

from pathlib import Path

import pytest
from cli.test_take_over import BLOCK, CONFIG, READ_FULL_STATUS, REGISTER, WRITE, log_in, portal, read
from support.process import Tgtd
from tgtcore_iscsi.initiator.client import Client

IDENTIFICATION = bytes.fromhex("12018300ff00")


def registrants(client: Client) -> bytes:
    """Who is registered with which key (SPC-5 6.15.5), without PRGENERATION, which begins anew with the power."""
    data = client.execute(READ_FULL_STATUS, room=255).data
    return data[8 : 8 + int.from_bytes(data[4:8], "big")]


@pytest.mark.parametrize("aptpl", [False, True], ids=["without APTPL", "with APTPL"])
def test_identifiers_registrations_and_ports_survive_sigkill(tmp_path: Path, aptpl: bool) -> None:
    """Nothing must be removed before the second start: no socket, no lock, no half-written file is in its way."""
    config = tmp_path / "c.toml"
    config.write_text(CONFIG)
    with Tgtd("--config", config, "--json", cwd=tmp_path) as first:
        address = portal(first)
        config.write_text(CONFIG.replace("127.0.0.1:0", str(address)))
        client = log_in(address)
        identity = client.execute(IDENTIFICATION, room=255).data
        assert client.execute(WRITE, out=BLOCK).status == 0
        parameters = bytes(8) + b"12345678" + bytes(4) + bytes((aptpl, 0, 0, 0))
        assert client.execute(REGISTER, out=parameters).status == 0
        registered = registrants(client)
        assert b"12345678" in registered
        first.process.kill()
        first.process.wait(20)
        client.abort()
    with Tgtd("--config", config, "--json", cwd=tmp_path) as second:
        assert portal(second) == address
        client = log_in(address)
        assert client.execute(IDENTIFICATION, room=255).data == identity
        assert registrants(client) == (registered if aptpl else b"")
        client.close()
        assert read(address) == BLOCK
        assert second.stop() == 0
    assert not list(tmp_path.glob("run/*"))
