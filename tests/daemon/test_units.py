"""Logical units, and what they remember over a restart."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from daemon.conftest import Running, Start
from support.fakes import FakeStore
from support.process import Tgtd
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client

from tgtcore import signals
from tgtcore.daemon.units import add_unit
from tgtcore.errors import ConfigError, StoreError
from tgtcore.logical_unit import LogicalUnit
from tgtcore.store import Claim

TARGET = "iqn.2025-01.example:a"
CONFIG = f"""
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.a]
device_type = "disk"
store = {{ type = "memory", size = "1M" }}
[targets."{TARGET}"]
transport = "iscsi"
luns = ["a"]
allow = {{ initiators = ["*"] }}
"""
TEST_UNIT_READY = bytes(6)
INQUIRY_83 = bytes.fromhex("12 01 83 00ff 00")
READ_KEYS = bytes.fromhex("5e 00 0000000000 0100 00")
REGISTER = bytes.fromhex("5f 00 00 00 00 00000018 00")
KEY = bytes.fromhex("00c0ffee00c0ffee")
KEEP = bytes(8) + KEY + bytes(4) + b"\x01" + bytes(3)
"""Register a key, and activate persistence through power loss."""


def log_in(tgtd: Tgtd) -> Client:
    parts = urlsplit(tgtd.ready["urls"][0])
    assert parts.hostname
    assert parts.port
    client = Client(Address(parts.hostname, parts.port), TARGET, "iqn.2025-01.example:test")
    client.execute(TEST_UNIT_READY)  # takes the unit attention of power on
    return client


def test_identity_and_reservations_survive_a_restart(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    seen = []
    for life in range(2):
        with Tgtd("--config", "c.toml", "--json", cwd=tmp_path) as tgtd:
            client = log_in(tgtd)
            if life == 0:
                assert client.execute(REGISTER, out=KEEP).status == 0
            seen.append((client.execute(INQUIRY_83, room=255).data, client.execute(READ_KEYS, room=256).data[8:16]))
            client.close()
            assert tgtd.stop() == 0, tgtd.log
    assert seen[0] == seen[1]
    assert seen[0][1] == KEY


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "saved reservations can't be read"),
        ('{"version": 1, "state": {"registrations": [], "type": 3}}', "saved reservations are damaged"),
    ],
)
async def test_reservations_that_can_not_be_read_stop_the_start(start: Start, content: str, said: str) -> None:
    first = await start()
    unique_id = first.daemon.inventory.units["b"].lu.identity.unique_id
    await first.daemon.stop()
    damaged = first.folder / "state" / "reservations" / f"{unique_id.hex()}.json"
    damaged.parent.mkdir()
    damaged.write_text(content)
    with pytest.raises(ConfigError, match=rf"logical unit b on through\(memory\(\)\): {damaged}: {said}"):
        await start()


@pytest.mark.asyncio
async def test_the_id_that_another_one_was_given_is_refused(running: Running) -> None:
    inventory = running.daemon.inventory
    unit = inventory.units["b"]
    same_id = replace(unit.config, name="c", unique_id=unit.lu.identity.unique_id, names={"serial": "S-1"})
    same_serial = replace(unit.config, name="c", names={"serial": unit.lu.identity.serial})
    for config, key in ((same_id, "unique_id"), (same_serial, "serial")):
        with pytest.raises(ConfigError, match=f"logical unit c on .*: {key} is that of logical unit b too"):
            await add_unit(inventory, config)
    assert set(inventory.units) == {"a", "b"}


@pytest.mark.asyncio
async def test_a_store_is_claimed_by_its_logical_unit(running: Running) -> None:
    units = running.daemon.inventory.units
    claims = {name: unit.store.claims.claimants() for name, unit in units.items() if unit.store is not None}
    assert claims == {
        "a": {"logical unit a": Claim.WRITE_EXCLUSIVE},
        "b": {"logical unit b": Claim.READ_SHARED},
    }


FAILING = (
    "[targets",
    '[logical_units.new]\ndevice_type = "fake"\nstore = { type = "memory", size = 4096 }\n'
    '[logical_units.bad]\ndevice_type = "fake"\nstore = { type = "memory", size = 4096, fails = "/x" }\n[targets',
)


@pytest.mark.asyncio
@pytest.mark.parametrize("commands", [0, 1])
async def test_what_was_made_for_a_change_that_failed_goes_again_unless_it_was_used(
    running: Running, commands: int
) -> None:
    def use(lu: LogicalUnit) -> None:
        lu.former.accepted = lu.former.ended = commands

    with signals.lu_added.connected_to(use), pytest.raises(StoreError, match="logical unit bad"):
        await running.apply(FAILING)
    assert [store.unmade for store in FakeStore.opened] == [False, False, commands == 0]
    assert [store.closed for store in FakeStore.opened] == [False, False, True]


INSIDE = {
    "a store": ("__init__", "logical unit a: store memory failed inside: ZeroDivisionError: as the test wants"),
    "its features": ("features", r"logical unit a on memory\(\) failed inside: ZeroDivisionError: as the test wants"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", INSIDE)
async def test_a_plugin_that_fails_inside_is_named_and_leaves_nothing_open(
    start: Start, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    method, message = INSIDE[what]

    def fail(*_: object) -> None:
        raise ZeroDivisionError("as the test wants")

    monkeypatch.setattr(FakeStore, method, fail)
    with pytest.raises((ConfigError, StoreError), match=message):
        await start()
    assert all(store.closed and store.unmade for store in FakeStore.opened)


@pytest.mark.asyncio
async def test_a_resize_that_fails_inside_is_an_error(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(store: FakeStore, size_bytes: int) -> None:
        raise MemoryError

    monkeypatch.setattr(FakeStore, "resize", fail)
    with pytest.raises(StoreError, match="logical unit a failed inside: MemoryError"):
        await running.daemon.resize("a", 8192)


@pytest.mark.asyncio
async def test_why_a_unit_could_not_be_made_is_said_although_its_store_does_not_close(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(store: FakeStore) -> None:
        FakeStore.opened.remove(store)
        raise OSError(5, "Input/output error")

    config = replace(running.daemon.inventory.units["a"].config, name="c", names={"serial": "S-1"})
    same_id = replace(config, unique_id=running.daemon.inventory.units["a"].lu.identity.unique_id)
    with monkeypatch.context() as patched:
        patched.setattr(FakeStore, "close", fail)
        with pytest.raises(ConfigError, match="unique_id is that of logical unit a too"):
            await add_unit(running.daemon.inventory, same_id)
    assert "was not closed cleanly: input/output error" in caplog.text
