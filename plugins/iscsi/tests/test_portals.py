"""Portals open and close as the configuration says."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tgtcore_iscsi.options import PortalOptions
from tgtcore_iscsi.portals import Portals

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def portals() -> AsyncIterator[Portals]:
    made = Portals(lambda sock, portal: sock.close(), lambda portal: None, lambda asked: None)
    yield made
    made.close()


@pytest.fixture
def free() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


async def apply(portals: Portals, *wanted: PortalOptions) -> None:
    portals.apply(wanted, asyncio.get_running_loop())


async def test_another_group_or_advertised_address_does_not_close_a_portal(portals: Portals, free: str) -> None:
    await apply(portals, PortalOptions(address=free))
    (before,) = portals
    await apply(portals, PortalOptions(address=free, group=2, advertise="203.0.113.1:3260"))
    (after,) = portals
    assert after is before
    assert (after.group, str(after.address_for(after.listener.address))) == (2, "203.0.113.1:3260")
    await apply(portals)
    assert list(portals) == []


async def test_a_failure_changes_nothing(portals: Portals, free: str) -> None:
    await apply(portals, PortalOptions(address=free))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        in_use = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"portal {in_use}: address already in use"):
            await apply(portals, PortalOptions(address=free, group=2), PortalOptions(address=in_use))
    assert [(portal.options.address, portal.group) for portal in portals] == [(free, 1)]


async def test_a_socket_that_listens_already_is_used(free: str) -> None:
    host, port = free.split(":")
    asked: list[str] = []
    with socket.create_server((host, int(port))) as sock:

        def inherited(address: str) -> socket.socket:
            asked.append(address)
            return sock

        portals = Portals(lambda sock, portal: sock.close(), lambda portal: None, inherited)
        await apply(portals, PortalOptions(address=free.replace("127.0.0.1", "localhost")))
        assert portals.listening_sockets() == [(free, sock)]
        assert asked == [free]
        assert sock.getblocking() is False
        portals.close()
        assert sock.fileno() == -1


async def test_a_socket_for_both_families_is_refused() -> None:
    """Initiators would come with addresses that no access list is written for."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as sock:
        portals = Portals(lambda sock, portal: sock.close(), lambda portal: None, lambda asked: sock)
        with pytest.raises(OSError, match="takes IPv4 too; its unit needs BindIPv6Only=ipv6-only"):
            await apply(portals, PortalOptions(address=f"[::]:{sock.getsockname()[1]}"))


async def test_port_0_is_a_new_one_each_time(portals: Portals) -> None:
    await apply(portals, PortalOptions(address="127.0.0.1:0"))
    await apply(portals, PortalOptions(address="127.0.0.1:0", group=2), PortalOptions(address="127.0.0.1:0"))
    assert len({portal.listener.address for portal in portals}) == 2
    assert portals.groups() == [1, 2]
