"""What a back end asks of Xen: the store, grants, event channels, and which guests there are.

A platform never interprets what it carries.  Calls come on the loop's thread, in both directions.  Those of the store are awaited,
for its server is another process; all others return at once.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from pydantic import BaseModel

from tgtcore import NoOptions

if TYPE_CHECKING:
    from tgtcore import Buffer, Region

PAGE_BYTES = 4096
"""What one grant reference stands for."""

INTRODUCE = "@introduceDomain"
RELEASE = "@releaseDomain"
"""Watched in the place of a path: a guest has come, or has gone."""


class Piece(NamedTuple):
    """A part of one page of a guest.

    :param reference: grant reference.
    :param offset: in bytes; ``offset + length`` is :data:`PAGE_BYTES` at most.
    :param length: in bytes.
    """

    reference: int
    offset: int
    length: int


class Copy(NamedTuple):
    """Data of one command on its way between a guest and us.

    :param to_guest: the direction.
    :param pieces: where the guest has it: :class:`Piece` each, or a plain tuple of its three numbers.
    :param memory: where we have it: as long as the pieces together, or shorter; writable when it comes from the guest, else perhaps
        a piece of a file that :meth:`Grants.show` has found.
    """

    domid: int
    to_guest: bool
    pieces: Sequence[tuple[int, int, int]]
    memory: "Buffer | Shown"


class Shown:
    """A piece of a file where the kernel has it in memory.

    :param address: where it is for a platform that has it at an address.
    :param held: what keeps it there.
    """

    __slots__ = ("address", "held", "region")

    def __init__(self, region: "Region", address: int = 0, held: object = None) -> None:
        self.region = region
        self.address = address
        self.held = held


class Watch(Protocol):
    """Somebody is told of changes."""

    async def end(self) -> None:
        """Tell no more; idempotent."""


class Transaction(Protocol):
    """Calls that happen together or not at all."""

    async def read(self, path: str) -> str | None:
        """See :meth:`Store.read`."""

    async def write(self, path: str, value: str) -> None:
        """See :meth:`Store.write`."""

    async def remove(self, path: str) -> None:
        """See :meth:`Store.remove`."""


class Store(ABC):
    """The xenstore (docs/misc/xenstore.txt of Xen): a tree of small values that guests share with us; they write what they like.

    Paths are absolute.  What is no text in UTF-8 reads with replacement characters.  Every method raises OSError when the store's
    server is gone or refuses: ``errno`` is the store's own answer, ``EACCES`` for instance.
    """

    @abstractmethod
    async def read(self, path: str) -> str | None:
        """The value of a node; None: there is no such node."""

    @abstractmethod
    async def list(self, path: str) -> Sequence[str]:
        """Names of the nodes below a node; none also where there is no such node."""

    @abstractmethod
    async def write(self, path: str, value: str) -> None:
        """Set the value of a node, which is made with all above it where it is missing, with the permissions of the node above."""

    @abstractmethod
    async def make(self, path: str) -> None:
        """Have a node; one that is there stays as it is."""

    @abstractmethod
    async def remove(self, path: str) -> None:
        """Remove a node and all below it; idempotent."""

    @abstractmethod
    async def permit(self, path: str, permissions: Sequence[str]) -> None:
        """Set a node's permissions, the owner first; what is made below it later has them too.

        :param permissions: such as ``("n0", "r5")``: domain 0 owns it, 5 may read, nobody else has any right.
        """

    @abstractmethod
    async def transact(self, work: "Callable[[Transaction], Awaitable[None]]") -> None:
        """Do several things at one time; ``work`` is called again when somebody else was faster."""

    @abstractmethod
    async def watch(self, path: str, told: Callable[[str], None]) -> Watch:
        """Call ``told`` with the path of what has changed, at or below ``path``; once at the beginning, with ``path`` itself.

        :param path: or :data:`INTRODUCE` or :data:`RELEASE`.
        """

    @abstractmethod
    async def is_introduced(self, domid: int) -> bool:
        """Whether there is such a guest, and it is not being destroyed."""


class Channel(Protocol):
    """One end of an event channel."""

    port: int
    """Its number in our domain."""

    def notify(self) -> None:
        """Wake the other end up; nothing happens where nobody is there any more."""

    def close(self) -> None:
        """Be told nothing any more; idempotent."""


class Mapping(Protocol):
    """A page of a guest in our memory."""

    view: memoryview
    """All of it; the guest may change it at any moment."""

    def wake_at_end(self, channel: Channel) -> None:
        """Have the other end of a channel woken up when the page is unmapped, also where that is because this process was killed.

        :param channel: is not closed before the mapping; once for each mapping.
        :raises OSError: this can't be had.
        """

    def close(self) -> None:
        """Unmap it; nobody has parts of the view any more.  Idempotent."""


class Grants(ABC):
    """Pages that guests let us use (``/dev/xen/gntdev``)."""

    @abstractmethod
    def map(self, domid: int, reference: int) -> Mapping:
        """Have a guest's page in our memory, until it is closed or this process ends.

        :raises OSError: there is no such grant, or it is not for us.
        """

    def room(self, length: int) -> memoryview | None:
        """Memory from which :meth:`copy` copies into guests faster than from any other: from where it is.

        It is lent until the next :meth:`copy` has returned; then others get it.

        :param length: in bytes.
        :returns: None: there is none, or no more until then.
        """
        return None

    def show(self, region: "Region", pieces: Sequence[tuple[int, int, int]]) -> Shown | None:
        """Have :meth:`copy` take a piece of a file from where the kernel has it, without reading it before.

        A copy of it is not done also when it can't be read; who reads it is told why.

        :param region: as long as the pieces together, or shorter.
        :param pieces: where the guest is going to have it.
        :returns: None: it is to be read.
        """
        return None

    @abstractmethod
    def copy(self, copies: Sequence[Copy]) -> list[bool]:
        """Move data, all of it with as few calls of the system as possible; which of the copies were done whole.

        One that fails may have been done in part, and stops no other.
        """


class EventChannels(ABC):
    """Interrupts between guests (``/dev/xen/evtchn``)."""

    @abstractmethod
    def bind(self, domid: int, remote_port: int, told: Callable[[], None]) -> Channel:
        """Be the other end of a guest's unbound event channel.

        ``told`` is called after the guest has notified, once for all that came together, and not from within calls of ours.

        :raises OSError: there is no such channel, or it is bound already.
        """


class Platform(ABC):
    """A machine with a hypervisor.

    :param options: an instance of ``Options``.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """Configuration keys under ``[transports.xen.<name of the platform>]``."""

    store: Store
    grants: Grants
    channels: EventChannels
    domid: int
    """Of the domain that we are."""

    def __init__(self, options: BaseModel, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop

    @abstractmethod
    async def open(self) -> None:
        """Have the store, the grants and the event channels.

        :raises OSError: one of them can't be had; the message names it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; mappings and channels have been closed.  Idempotent."""
