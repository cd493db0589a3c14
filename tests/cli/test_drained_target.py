"""A target is drained and opened again, with its transport in the daemon and in a process of its own."""

from pathlib import Path

import pytest
from support.process import Tgtd, run
from tgtcore_iscsi.addresses import Address, parse_address
from tgtcore_iscsi.initiator.client import Client, LoginRefused

TARGET = "iqn.2025-01.example:drained"
CONFIG = """
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "{folder}/socket"
state_directory = "{folder}/state"
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
isolation = "{isolation}"
[logical_units.a]
device_type = "disk"
store = {{ type = "memory", size = "1M" }}
[targets."iqn.2025-01.example:drained"]
transport = "iscsi"
luns = ["a"]
allow = {{ initiators = ["*"] }}
"""


def log_in(address: Address) -> None:
    Client(address, TARGET, "iqn.2025-01.example:host").close()


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_nobody_logs_in_until_it_is_open_again(tmp_path: Path, isolation: str) -> None:
    config = tmp_path / "tgtd.toml"
    config.write_text(CONFIG.format(folder=tmp_path, isolation=isolation))
    with Tgtd("--config", config, "--json", cwd=tmp_path) as tgtd:
        address = parse_address(tgtd.ready["urls"][0].split("/")[2])
        socket = ["--socket", tgtd.ready["socket"]]
        log_in(address)
        assert run("tgtadm", *socket, "target", "drain", TARGET).returncode == 0
        with pytest.raises(LoginRefused, match="service unavailable"):
            log_in(address)
        assert run("tgtadm", *socket, "target", "reopen", TARGET).returncode == 0
        log_in(address)
