"""What transports are offered."""

import socket
from types import ModuleType
from typing import Any

import pytest
from daemon.conftest import CONFIG, Running, Start

from tgtcore import Account, hookimpl
from tgtcore.daemon import Inheritance, InheritedSocket
from tgtcore.errors import Draining, PluginError
from tgtcore.nexus import InitiatorPort, TargetPort


def plugin(**hooks: Any) -> ModuleType:
    module = ModuleType("extra")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


EXTRA = CONFIG.replace('["fake"]', '["fake", "extra"]')
PORT = InitiatorPort("host", b"host", "10.0.0.1")


@pytest.mark.asyncio
async def test_targets_are_found_by_their_own_transport(running: Running) -> None:
    host = running.transport.host
    target = host.find_target("t.one")
    assert target is not None
    assert list(host.targets()) == [target]
    assert host.find_target("t.two") is None
    target.transport = "other"
    assert host.find_target("t.one") is None
    assert list(host.targets()) == []


@pytest.mark.asyncio
async def test_accounts_have_their_user_and_secret(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE", "a secret")
    running = await start(
        CONFIG.replace("[transports.fake]", '[accounts.a]\nuser = "alice"\nsecret_env = "ALICE"\n[transports.fake]')
    )
    assert running.transport.host.account("a") == Account("alice", b"a secret")
    assert running.transport.host.account("b") is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("rule", "opinion", "admitted"),
    [
        ('["*"]', None, True),
        ('["*"]', True, True),
        ('["*"]', False, False),
        ('["other"]', None, False),
        ('["other"]', True, True),
        ('["other"]', False, False),
        ("[]", None, False),
    ],
)
async def test_nobody_is_admitted_unless_someone_says_yes_and_nobody_no(
    start: Start, rule: str, opinion: bool | None, admitted: bool
) -> None:
    running = await start(EXTRA.replace('["*"]', rule), plugin(tgt_authorize_login=lambda: opinion))
    target = running.transport.host.find_target("t.one")
    assert target is not None
    assert running.transport.host.admits(target, PORT, "portal") is admitted


@pytest.mark.asyncio
async def test_a_target_that_goes_away_takes_no_nexus(running: Running) -> None:
    running.daemon.inventory.targets["t.one"].leases.shut()
    with pytest.raises(Draining):
        running.transport.log_in("t.one", "host")


@pytest.mark.asyncio
async def test_commands_are_amended_once_for_a_transport(start: Start) -> None:
    asked: list[str] = []

    def amend(transport: str, lu: Any, commands: Any) -> None:
        asked.append(f"{transport} {lu.name}")
        assert commands is not lu.commands
        commands.slots[0] = None

    running = await start(EXTRA, plugin(tgt_amend_commands=amend))
    for name in ("one", "two"):
        nexus = running.transport.log_in("t.one", name)
        assert nexus is not None
        itl = nexus.itl(0)
        assert itl is not None
        assert not itl.commands.has_opcode(0)
    assert asked == ["fake a", "fake b"]
    assert running.daemon.inventory.units["a"].lu.commands.has_opcode(0)


@pytest.mark.asyncio
async def test_plugins_may_add_vpd_pages(start: Start) -> None:
    running = await start(EXTRA, plugin(tgt_vpd_pages=lambda transport, lu: {0xC0: f"{transport} {lu.name}".encode()}))
    assert running.daemon.inventory.units["a"].lu.extra_vpd_pages("fake") == {0xC0: b"fake a"}


@pytest.mark.asyncio
async def test_a_plugin_that_fails_admits_nobody(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bool:
        raise ZeroDivisionError("inside")

    running = await start(EXTRA, plugin(tgt_authorize_login=fail))
    target = running.transport.host.find_target("t.one")
    assert target is not None
    assert not running.transport.host.admits(target, PORT, "portal")
    assert "ZeroDivisionError: inside; host is not admitted to target t.one" in caplog.messages[-1]


@pytest.mark.asyncio
async def test_a_nexus_whose_commands_can_not_be_amended_is_not_opened(start: Start) -> None:
    def amend(lu: Any) -> None:
        if lu.name == "b":
            raise ZeroDivisionError("inside")

    running = await start(EXTRA, plugin(tgt_amend_commands=amend))
    with pytest.raises(PluginError, match="inside"):
        running.transport.log_in("t.one", "host")
    inventory = running.daemon.inventory
    target = inventory.targets["t.one"]
    assert (target.nexuses, len(target.leases)) == ([], 0)
    assert [unit.lu.itls for unit in inventory.units.values()] == [{}, {}]


@pytest.mark.asyncio
async def test_a_lun_whose_commands_can_not_be_amended_is_not_mapped(start: Start) -> None:
    def amend(lu: Any) -> None:
        if lu.name == "b":
            raise ZeroDivisionError("inside")

    running = await start(EXTRA.replace('["a", "b"]', '["a"]'), plugin(tgt_amend_commands=amend))
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    with pytest.raises(PluginError, match="inside"):
        await running.apply(('["a"]', '["a", "b"]'))
    assert list(nexus.luns()) == list(running.daemon.inventory.targets["t.one"].luns.luns()) == [0]


@pytest.mark.asyncio
async def test_a_transport_gets_no_socket_that_another_one_had(running: Running) -> None:
    inventory = running.daemon.inventory
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    owners = {"own": "fake", "free": "", "others": "loop"}
    inventory.inheritance = Inheritance(
        InheritedSocket(name, sock, owner) for (name, owner), sock in zip(owners.items(), sockets, strict=True)
    )
    host = running.transport.host
    assert [host.inherited(name) for name in owners] == [*sockets[:2], None]
    inventory.inheritance.close()
    for sock in sockets:
        sock.close()


@pytest.mark.asyncio
async def test_a_transport_says_how_report_luns_names_logical_units(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = running.transport.host
    target = host.find_target("t.one")
    assert target is not None
    assert host.open_nexus(target, PORT, TargetPort("one", 1, 1, 5)).reported_luns(7)[:1] == [bytes(8)]
    asked = []

    def reported_luns(*about: Any) -> list[bytes]:
        asked.append((about[0], list(about[1]), about[2]))
        return [b"own form"]

    monkeypatch.setattr(type(running.transport), "reported_luns", reported_luns)
    nexus = host.open_nexus(target, PORT, TargetPort("one", 1, 1, 5))
    assert nexus.reported_luns(7) == [b"own form"]
    assert asked == [(target, list(target.luns.luns()), 7)]
