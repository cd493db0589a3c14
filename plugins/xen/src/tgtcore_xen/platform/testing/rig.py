"""What the conformance kit works with: a platform that is open, and a guest that does what a test asks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import pytest

from tgtcore.testing.waiting import TurnedLoop
from tgtcore_xen.platform.contract import Copy, Piece, Platform

NOBODY = 32000
"""A domid that no guest has."""


class SharedPage(Protocol):
    """A page of a guest that the back end may use."""

    reference: int
    """Of the grant."""
    view: memoryview
    """The guest's own view of it."""

    def end(self) -> None:
        """Let the back end use it no more; nobody has it mapped.  Idempotent."""


class GuestChannel(Protocol):
    """A guest's end of an event channel."""

    port: int
    """What the back end binds."""

    def notify(self) -> None:
        """Wake the back end up."""

    def close(self) -> None:
        """End it; idempotent."""


class GuestSide(Protocol):
    """A guest that does what a test asks, on the thread of the loop; it may be the back end's own domain."""

    domid: int

    def share(self, *, writable: bool) -> SharedPage:
        """Let the back end use a page of zeros that is the guest's."""

    def listen(self, told: Callable[[], None]) -> GuestChannel:
        """Make an event channel that the back end may bind; ``told`` is called when the back end has notified."""

    def close(self) -> None:
        """End all of its pages and channels that have not been ended."""


class Rig(TurnedLoop):
    """A platform that is open, on a loop of its own, with a guest.

    :param folder: a node of the store below which a test may do what it likes; it is not there yet.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, platform: Platform, guest: GuestSide, folder: str) -> None:
        super().__init__(loop)
        self.platform = platform
        self.store = platform.store
        self.guest = guest
        self.folder = folder

    def settle(self) -> None:
        """Give what is not to happen the time to happen."""
        self.loop.run_until_complete(asyncio.sleep(0.02))

    def refused(self, work: Coroutine[Any, Any, Any]) -> int:
        """The error number that it raises."""
        with pytest.raises(OSError, match="Errno") as info:
            self.run(work)
        assert info.value.errno is not None
        return info.value.errno

    def copy(self, reference: int, memory: Any, *, to_guest: bool, offset: int = 0) -> bool:
        """Copy one piece."""
        (done,) = self.platform.grants.copy(
            [Copy(self.guest.domid, to_guest, [Piece(reference, offset, len(memory))], memory)]
        )
        return done
