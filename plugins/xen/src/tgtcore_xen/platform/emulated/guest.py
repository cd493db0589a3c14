"""A guest of an emulated machine: what a front end has."""

import asyncio
import enum
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated.channels import End
from tgtcore_xen.platform.emulated.grants import GrantTable
from tgtcore_xen.platform.emulated.memory import GuestMemory
from tgtcore_xen.platform.emulated.store import EmulatedStore

if TYPE_CHECKING:
    from tgtcore_xen.platform.emulated.machine import EmulatedXen


class GuestState(enum.Enum):
    """What a guest does."""

    PAUSED = "paused"
    RUNNING = "running"
    SUSPENDED = "suspended"
    DEAD = "dead"


class Page:
    """A page of a guest's memory.

    :param number: which one.
    """

    __slots__ = ("number", "view")

    def __init__(self, memory: GuestMemory, number: int) -> None:
        self.number = number
        self.view = memory.page(number)


class SharedPage:
    """A page and its grant; see :class:`tgtcore_xen.platform.testing.SharedPage`."""

    def __init__(self, guest: "EmulatedGuest", *, writable: bool) -> None:
        self._guest = guest
        self._page = guest.page()
        self._ended = False
        self.view = self._page.view
        self.reference = guest.grant(self._page, read_only=not writable)

    def end(self) -> None:
        """Grant it no more; idempotent.

        :raises OSError: EBUSY: it is still in use by the back end.
        """
        if not self._ended:
            self._guest.revoke(self.reference)
            self._ended = True
            self._guest.free(self._page)


class EmulatedGuest:
    """Made by :meth:`EmulatedXen.create`; its domid changes when it migrates.

    What needs a domain that is there raises OSError when the guest is dead.
    """

    def __init__(self, machine: "EmulatedXen", name: str, uuid: str, domid: int, memory: GuestMemory) -> None:
        self.machine = machine
        self.name = name
        self.uuid = uuid
        self.back_domid = 0
        """The domain that its grants and event channels are for, unless another is named."""
        self.state = GuestState.PAUSED
        self.suspended: list[Callable[[], None]] = []
        """Called when the guest is suspended."""
        self.resumed: list[Callable[[], None]] = []
        """Called when the guest goes on after it was suspended or has migrated: rings, grants and channels are to be made anew."""
        self.died: list[Callable[[], None]] = []
        """Called when the guest is destroyed."""
        self.running = asyncio.Event()
        """Set while it runs: until then it hears of nothing that the store tells it."""
        self._memory = memory
        self._shared: list[SharedPage] = []
        self.enter(domid)

    def enter(self, domid: int) -> None:
        """Have a domain, which has granted nothing and has no event channel."""
        self.domid = domid
        self._table = GrantTable(self._memory)
        self.machine.tables[domid] = self._table
        self.store = EmulatedStore(self.machine.server, domid, self.machine.loop)
        """The store, with the guest's rights."""

    @property
    def home(self) -> str:
        """Where its nodes are."""
        return f"/local/domain/{self.domid}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it is called."""
        return self.machine.loop

    # ---- memory -----------------------------------------------------------------------------------------------------------

    def page(self) -> Page:
        """A page of zeros.

        :raises OSError: ENOMEM: none is left.
        """
        page = Page(self._memory, self._memory.take())
        page.view[:] = bytes(PAGE_BYTES)
        return page

    def free(self, page: Page) -> None:
        """Use a page no more."""
        self._memory.give(page.number)

    def grant(self, page: Page, to: int | None = None, *, read_only: bool = False) -> int:
        """Let a domain use a page; the reference of the grant."""
        return self._table.add(page.number, self.back_domid if to is None else to, read_only=read_only)

    def revoke(self, reference: int) -> None:
        """End a grant; one of a domain that the guest was before is none any more.

        :raises OSError: EBUSY: it is still in use by the back end.
        """
        if not self._table.end(reference):
            raise OSError(errno.EBUSY, f"grant {reference} of guest {self.domid} is still in use by the back end")

    def revoke_later(self, page: Page, reference: int) -> None:
        """End a grant and free its page, as soon as the back end uses it no more (gnttab_end_foreign_access)."""
        table = self._table

        def end() -> None:
            table.end(reference)
            self.free(page)

        entry = table.entries.get(reference)
        if entry is not None and entry.mapped:
            entry.unused = end
        else:
            end()

    def tear(self, reference: int) -> None:
        """End a grant even when it is in use: what is copied later fails; who has it mapped keeps that."""
        self._table.tear(reference)

    @property
    def granted(self) -> int:
        """How many grants it has; none any more when it is dead."""
        return len(self._table.entries) if self.state is not GuestState.DEAD else 0

    @property
    def mapped(self) -> int:
        """How often its pages are mapped by others."""
        return sum(entry.mapped for entry in self._table.entries.values())

    def share(self, *, writable: bool) -> SharedPage:
        """A page of zeros that the domain of the back end may use."""
        page = SharedPage(self, writable=writable)
        self._shared.append(page)
        return page

    # ---- event channels ---------------------------------------------------------------------------------------------------

    def channel(self, told: Callable[[], None], to: int | None = None) -> End:
        """An event channel that a domain may bind."""
        return self.machine.ports.allocate(self.domid, self.back_domid if to is None else to, told, self.loop)

    def listen(self, told: Callable[[], None]) -> End:
        """The same, to the domain of the back end."""
        return self.channel(told)

    # ---- its life ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End what :meth:`share` and :meth:`channel` have made."""
        for page in self._shared:
            page.end()
        for end in self.machine.ports.of(self.domid):
            end.close()

    def unpause(self) -> None:
        """Let it run, as if it had never stood still: nothing in it is told, also where it was suspended."""
        self.state = GuestState.RUNNING
        self.running.set()

    def suspend(self) -> None:
        """Let it stand still, by the way that tools have."""
        for value in (b"suspend", b""):  # what tools ask, and that the guest has heard it
            self.machine.server.write(0, f"{self.home}/control/shutdown", value)
        self.state = GuestState.SUSPENDED
        self.running.clear()
        for told in self.suspended:
            told()

    def resume(self) -> None:
        """Let it go on after it was suspended: its front ends connect anew, to what is there at this moment."""
        self.machine.arrived(self)
        for told in self.resumed:
            told()
        self.unpause()

    def migrate(self) -> int:
        """Be another domain, as after a migration or a restore, which stands still until it is resumed; its domid."""
        if self.state is GuestState.RUNNING:
            self.suspend()
        return self.machine.migrate(self)

    def destroy(self, *, leaves_nodes: bool = False) -> None:
        """End it at once, whatever is going on; idempotent.

        :param leaves_nodes: whether no tool removes what the store has of it.
        """
        if self.state is not GuestState.DEAD:
            self.state = GuestState.DEAD
            self.machine.forget(self, leaves_nodes=leaves_nodes)
            for told in self.died:
                told()
            self._memory.close()
