"""The transport with adapters that come and go, on a machine that may refuse them."""

import asyncio
import errno
from contextlib import asynccontextmanager

import pytest
from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE
from tgtcore_ibmvio.options import IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.transport import IbmvioTransport
from tgtcore_srp.iu.login import LoginRequest

from tgtcore.testing.host import TestHost

A, B, C = "30000003", "30000004", "30000005"
LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
DEREGISTERED = bytes((0xFF, 2)) + bytes(14)


class Machine:
    """A platform that has some adapters."""

    def __init__(self, make_adapter, there):
        self.make_adapter = make_adapter
        self.there = there
        self.open_ones = {}
        self.closed = False
        self.released = asyncio.Event()

    async def open(self, unit_address):
        name = f"{unit_address:08x}"
        if name not in self.there:
            raise OSError(f"there is no adapter {name}")
        self.open_ones[name] = self.make_adapter(unit_address)
        return self.open_ones[name]

    async def release(self, adapter):
        del self.open_ones[f"{adapter.unit_address:08x}"]
        self.released.set()

    async def close(self):
        self.closed = True

    def log_in(self, name):
        adapter = self.open_ones[name]
        adapter.listener.element(INIT)
        adapter.memory[0x1000:0x1100] = LOGIN.ljust(256, b"\0")
        adapter.listener.element(FIELDS.pack(0x80, 1, 0, 30, 256, 0x1000))


def options(*names, **more):
    portals = tuple({"address": name, "location": f"U1-C{name[-1]}"} for name in names)
    return IbmvioOptions(portals=portals, emulated={"directory": "/none"}, **more)


@pytest.fixture
def started(monkeypatch, adapter):
    @asynccontextmanager
    async def start(*names, there=(A, B, C), **target):
        def make_adapter(unit_address):
            made = type(adapter)()
            made.unit_address = unit_address
            return made

        machine = Machine(make_adapter, there)
        monkeypatch.setattr("tgtcore_ibmvio.transport.make_platform", lambda *_: machine)
        target_options = IbmvioTargetOptions(adapters=(A, B, C), **target)
        host = TestHost(asyncio.get_running_loop(), "ibmvio", "lpars", target_options)
        transport = IbmvioTransport(host, options(*names))
        await transport.start()
        yield transport, machine
        await transport.close()
        assert machine.closed
        host.check_quiet()

    return start


@pytest.mark.asyncio
async def test_adapters_are_portals(started):
    async with started(A, B) as (transport, machine):
        assert [(one.address, one.connections) for one in transport.portals()] == [(A, 0), (B, 0)]
        machine.log_in(B)
        assert [one.connections for one in transport.portals()] == [0, 1]
        (session,) = transport.sessions()
        assert (session.id, session.portal, session.initiator, session.address) == (B, B, "lpar7", "partition 7")
        ports = transport.target_ports(transport.host.target)
        assert [port.relative_id for port in ports] == [1, 2]
        assert session.nexus.target_port in ports


@pytest.mark.asyncio
async def test_all_adapters_are_opened_or_none(started):
    with pytest.raises(OSError, match=f"there is no adapter {B}"):
        async with started(A, B, there=(A,)):
            pass


@pytest.mark.asyncio
async def test_an_adapter_that_the_system_refuses_is_named(started, monkeypatch):
    async def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied", "/run/vio")

    monkeypatch.setattr(Machine, "open", refuse)
    with pytest.raises(OSError, match=f"adapter {A} can't be opened: /run/vio: permission denied"):
        async with started(A):
            pass


@pytest.mark.asyncio
async def test_an_adapter_that_can_not_be_opened_changes_nothing(started):
    async with started(A, there=(A, B)) as (transport, machine):
        with pytest.raises(OSError, match=f"there is no adapter {C}"):
            await transport.apply_options(options(B, C))
        assert [one.address for one in transport.portals()] == list(machine.open_ones) == [A]
        assert [one.address for one in transport.options.portals] == [A]


@pytest.mark.asyncio
async def test_another_machine_is_refused(started):
    async with started(A) as (transport, _):
        other = IbmvioOptions(portals=({"address": A},), emulated={"directory": "/elsewhere"})
        with pytest.raises(OSError, match="can't be changed while the transport runs"):
            await transport.apply_options(other)
        assert transport.options == options(A)


@pytest.mark.asyncio
async def test_an_adapter_that_is_no_portal_any_more_stays_until_its_session_ends(started):
    async with started(A, B) as (transport, machine):
        machine.log_in(A)
        adapter = machine.open_ones[A]
        await transport.apply_options(options(B, memory="32M"))
        assert [one.address for one in transport.portals()] == [B]
        (session,) = transport.sessions()
        assert (session.id, session.portal) == (A, "")
        adapter.listener.element(DEREGISTERED)
        assert transport.sessions() == []
        await asyncio.wait_for(machine.released.wait(), 20)
        assert list(machine.open_ones) == [B]
        assert transport.statistics()["memory"]["budget_bytes"] == 32 << 20


@pytest.mark.asyncio
async def test_a_platform_that_fails_to_let_go_stops_nobody_else(started, caplog):
    async with started(A, B) as (transport, machine):
        adapter = machine.open_ones.pop(A)  # so that its release fails
        await transport.apply_options(options(B, C))
        assert [one.address for one in transport.portals()] == [B, C]
        assert "adapter 30000003 is not served any more, and the platform failed at that" in caplog.text
        assert adapter.calls[-1] == "free"


@pytest.mark.asyncio
async def test_clients_wait_until_it_listens_again(started):
    async with started(A, B) as (transport, machine):
        machine.log_in(A)
        await transport.stop_listening()
        assert (transport.portals(), list(machine.open_ones)) == ([], [A, B])
        machine.log_in(B)
        assert [one.id for one in transport.sessions()] == [A]
        states = [one["state"] for one in transport.statistics()["adapters"].values()]
        assert states == ["connected", "takes no logins"]
        await transport.start()
        assert [one.address for one in transport.portals()] == [A, B]
        assert len(transport.sessions()) == 1
        assert machine.open_ones[B].sent[-1] == INIT_COMPLETE


@pytest.mark.asyncio
async def test_adapters_that_are_no_portals_when_it_listens_again_are_let_go(started):
    async with started(A, B) as (transport, machine):
        await transport.stop_listening()
        await transport.apply_options(options(B))
        assert (list(machine.open_ones), [one.address for one in transport.portals()]) == ([B], [B])


@pytest.mark.asyncio
async def test_the_end_frees_no_queue_that_the_machine_may_keep(started):
    async with started(A, B) as (transport, machine):
        machine.log_in(A)
        await transport.stop_listening()
        await transport.drop_session(A)
        for adapter in machine.open_ones.values():
            adapter.calls.clear()
        await transport.close()
        assert machine.closed
        assert [adapter.calls for adapter in machine.open_ones.values()] == [[], []]


@pytest.mark.asyncio
async def test_sessions_end_one_by_one_or_with_their_target(started):
    async with started(A, B) as (transport, machine):
        machine.log_in(A)
        machine.log_in(B)
        assert await transport.drop_session("no such session") is False
        assert await transport.drop_session(A) is True
        assert [one.id for one in transport.sessions()] == [B]
        await transport.drop_target(transport.host.target)
        assert transport.sessions() == []
        assert {one["state"] for one in transport.statistics()["adapters"].values()} == {"closed"}


@pytest.mark.asyncio
async def test_a_virtual_device_has_its_physical_location(started):
    async with started(A, B, devices={"0:1:0": 0}) as (transport, _):
        target = transport.host.target
        assert transport.urls(target, 0) == ["U1-C3-T1-L8100000000000000", "U1-C4-T1-L8100000000000000"]
        assert transport.urls(target, 1) == [], "it is no virtual device"


@pytest.mark.asyncio
async def test_what_is_shown_of_an_adapter(started):
    async with started(A, B) as (transport, machine):
        machine.log_in(A)
        shown = transport.statistics()["adapters"]
        assert list(shown) == [A, B]
        about = shown[A]
        assert (about["location"], about["target"], about["state"]) == ("U1-C3", "lpars", "connected")
        assert (about["partner"], about["sessions"], about["connections"]) == ("lpar7 (7)", 1, 1)
        assert shown[B]["state"] == "waiting for the partner"
