"""Transports from their making on."""

import socket
from pathlib import Path

import pytest
from daemon.conftest import CONFIG
from support.fakes import fake_plugins

from tgtcore.config import parse
from tgtcore.daemon import Daemon, Inheritance, InheritedSocket
from tgtcore.daemon.load import check_source


@pytest.mark.asyncio
async def test_sockets_for_the_portals_of_a_driver_that_comes_later_are_kept(tmp_path: Path) -> None:
    """Those that the service manager has opened; what is no portal, and what another transport had, is closed."""
    door = tmp_path / "door"
    keys = f'[transports.fake]\nisolation = "attached"\nsocket = "{door}"'
    text = CONFIG.replace("[transports.fake]", keys).replace("STATE", str(tmp_path / "state"))
    text = text.replace('{ address = "one" }', '{ address = "one" }, { address = "two" }, { address = "three" }')
    plugins = fake_plugins()
    config = check_source(parse(text.encode(), tmp_path), plugins)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    given, odd, others, own = sockets
    inheritance = Inheritance(
        [
            InheritedSocket("one", given),
            InheritedSocket("odd", odd),
            InheritedSocket("two", others, "loop"),
            InheritedSocket("three", own, "fake"),
        ]
    )
    daemon = Daemon(plugins, config, inheritance)
    await daemon.start()
    driver = daemon.inventory.transports["fake"]
    kept = [(name, sock) for name, sock in await driver.listening_sockets() if name != str(door)]
    assert sorted(kept, key=str) == sorted([("one", given), ("three", own)], key=str)
    assert [sock.fileno() >= 0 for sock in sockets] == [True, False, False, True]
    assert await daemon.stop() == []
    assert [sock.fileno() >= 0 for sock in sockets] == [False] * 4
