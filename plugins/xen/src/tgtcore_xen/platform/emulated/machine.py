"""An emulated machine with Xen: one in a process, found by its name."""

import asyncio
from collections.abc import MutableMapping
from itertools import count
from typing import NamedTuple, Self
from uuid import NAMESPACE_OID, uuid5
from weakref import WeakKeyDictionary

from tgtcore_xen.platform.emulated.channels import Ports
from tgtcore_xen.platform.emulated.faults import Faults
from tgtcore_xen.platform.emulated.grants import EmulatedGrants, GrantTable
from tgtcore_xen.platform.emulated.guest import EmulatedGuest
from tgtcore_xen.platform.emulated.memory import GuestMemory
from tgtcore_xen.platform.emulated.store import EmulatedStore
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions, Right
from tgtcore_xen.platform.emulated.xenstore.server import StoreServer

MEMORY_PAGES = 4096

_machines: MutableMapping[asyncio.AbstractEventLoop, dict[str, "EmulatedXen"]] = WeakKeyDictionary()


class InUse(NamedTuple):
    """What there is of everything that has to be given back some time.

    :param mapped: pages that domain 0 has mapped.
    :param bound: event channels whose one end is domain 0's.
    :param nodes: of the store, all together.
    :param watches: of domain 0.
    :param transactions: of everybody.
    """

    mapped: int
    bound: int
    nodes: int
    watches: int
    transactions: int


class EmulatedXen:
    """A hypervisor, a store, and the domains: domain 0, and guests.

    :param loop: the one that back ends and front ends run on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.faults = Faults()
        self.server = StoreServer(self.faults)
        """The store's server."""
        self.ports = Ports()
        """All event channels."""
        self.tables: dict[int, GrantTable] = {}
        """What guests have granted, by domid."""
        self.guests: dict[int, EmulatedGuest] = {}
        """By domid."""
        self.grants: list[EmulatedGrants] = []
        """What back ends have mapped."""
        self.store = EmulatedStore(self.server, 0, loop)
        """The store, with the rights of the tools of domain 0."""
        self._domids = count(1)
        for path in ("/local/domain/0/backend", "/tool", "/vm"):
            self.server.make(0, path)
        self.server.write(0, "/local/domain/0/domid", b"0")
        self.server.write(0, "/local/domain/0/name", b"Domain-0")

    @classmethod
    def named(cls, name: str, loop: asyncio.AbstractEventLoop | None = None) -> Self:
        """The machine of that name on a loop; it is made when it is not there.

        :param loop: the one that runs, if there is none.
        """
        loop = loop or asyncio.get_running_loop()
        machines = _machines.setdefault(loop, {})
        found = machines.setdefault(name, cls(loop)) if name not in machines else machines[name]
        assert isinstance(found, cls)
        return found

    def in_use(self) -> InUse:
        """What is in use now: what a back end leaves behind is the difference to before."""
        return InUse(
            mapped=sum(len(grants.mappings) for grants in self.grants),
            bound=len(self.ports.of(0)),
            nodes=len(self.server.tree.nodes),
            watches=len(self.server.watches.of(0)),
            transactions=self.server.transactions,
        )

    # ---- guests -----------------------------------------------------------------------------------------------------------

    def create(
        self, name: str, *, uuid: str | None = None, paused: bool = False, pages: int = MEMORY_PAGES
    ) -> EmulatedGuest:
        """Make a guest, with the nodes that every guest has; front ends of it are somebody else's.

        :param uuid: without one it is made of the name.
        :param pages: its memory, of 4096 bytes each.
        """
        domid = next(self._domids)
        guest = EmulatedGuest(self, name, uuid or str(uuid5(NAMESPACE_OID, name)), domid, GuestMemory(pages))
        self._furnish(guest, name)
        if not paused:
            guest.unpause()
        return guest

    def find(self, name: str) -> EmulatedGuest | None:
        """The guest of that name."""
        return next((guest for guest in self.guests.values() if guest.name == name), None)

    def _furnish(self, guest: EmulatedGuest, name: str) -> None:
        """What the tool stack writes when a domain is made (libxl__domain_make)."""
        domid, server, vm = guest.domid, self.server, f"/vm/{guest.uuid}"
        self.guests[domid] = guest
        readable = Permissions(0, Right.NONE, ((domid, Right.READ),))
        own = Permissions(domid, Right.NONE)
        places = {vm: readable, guest.home: readable, f"{guest.home}/data": own, f"{guest.home}/error": own}
        for path, permissions in places.items():
            server.make(0, path)
            server.permit(0, path, permissions)
        for path, value in {
            f"{vm}/name": name,
            f"{vm}/uuid": guest.uuid,
            f"{guest.home}/vm": vm,
            f"{guest.home}/domid": str(domid),
            f"{guest.home}/name": name,
        }.items():
            server.write(0, path, value.encode())
        server.make(0, f"{guest.home}/device")
        server.introduce(domid)

    def migrate(self, guest: EmulatedGuest) -> int:
        """Let a guest have another domain, with another name until it goes on there; its domid.

        Its grants and event channels do not come along.
        """
        old, domid = guest.domid, next(self._domids)
        guest.enter(domid)
        self._furnish(guest, f"{guest.name}--incoming")
        self._end(old)
        self._clear(old)
        return domid

    def arrived(self, guest: EmulatedGuest) -> None:
        """It is about to go on: it gets its name."""
        for node in (f"{guest.home}/name", f"/vm/{guest.uuid}/name"):
            self.server.write(0, node, guest.name.encode())

    def forget(self, guest: EmulatedGuest, *, leaves_nodes: bool) -> None:
        """What the hypervisor, the store and the tool stack do when a guest is destroyed.

        :param leaves_nodes: the tool stack does nothing.
        """
        guest.store.end()
        self._end(guest.domid)
        if not leaves_nodes:
            self._clear(guest.domid)
            self.server.remove(0, f"/vm/{guest.uuid}")

    def _end(self, domid: int) -> None:
        """A domain dies; its pages stay mapped until those are unmapped."""
        del self.guests[domid]
        del self.tables[domid]
        for end in self.ports.of(domid):
            end.close()
        self.server.release(domid)

    def _clear(self, domid: int) -> None:
        """The tool stack removes what the store has of a domain."""
        self.server.remove(0, f"/local/domain/{domid}")
