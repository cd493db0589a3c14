"""Event channels of an emulated machine."""

import asyncio
import errno
from collections.abc import Callable
from itertools import count

from tgtcore_xen.platform.contract import EventChannels
from tgtcore_xen.platform.emulated.faults import Faults


class End:
    """One end of an event channel, and for its domain a port.

    :param partner: the domain that may have the other end.
    :param loop: where ``told`` is called.
    """

    def __init__(
        self,
        place: tuple[int, int],
        partner: int,
        told: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
        ports: "Ports",
    ) -> None:
        self.domid, self.port = place
        self.partner = partner
        self.other: End | None = None
        """The end that it is connected to."""
        self.notified = 0
        """How often it was notified by its domain."""
        self._told = told
        self._loop = loop
        self._ports = ports
        self._pending = False
        self.open = True
        """Whether it was not closed."""

    def notify(self) -> None:
        """Wake the other end up; nothing happens where nobody is there."""
        self.notified += 1
        self.wake_other()

    def wake_other(self) -> None:
        """Wake the other end up without a doing of the domain."""
        if self.other is not None:
            self.other.wake()

    def wake(self) -> None:
        """Let it be told soon, and once for all that comes until then."""
        if not self._pending:
            self._pending = True
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._pending = False
        if self.open:
            self._told()

    def close(self) -> None:
        """Be told nothing any more; the other domain keeps its end, which may be bound again.  Idempotent."""
        self.open = False
        self._ports.remove(self)
        if self.other is not None:
            self.other.other = None
            self.other = None


class Ports:
    """All event channels of a machine."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, int], End] = {}
        self._numbers = count(1)

    def of(self, domid: int) -> list[End]:
        """Those of one domain."""
        return [end for end in self._ends.values() if end.domid == domid]

    def allocate(self, domid: int, partner: int, told: Callable[[], None], loop: asyncio.AbstractEventLoop) -> End:
        """EVTCHNOP_alloc_unbound."""
        end = End((domid, next(self._numbers)), partner, told, loop, self)
        self._ends[domid, end.port] = end
        return end

    def bind(
        self, domid: int, remote: tuple[int, int], told: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> End:
        """EVTCHNOP_bind_interdomain: it is told at once, for the other end may have notified before.

        :raises OSError: EINVAL: there is no such channel, or it is bound already, or for somebody else.
        """
        other = self._ends.get(remote)
        if other is None or other.other is not None or other.partner != domid:
            raise OSError(
                errno.EINVAL, f"guest {remote[0]} has no event channel {remote[1]} for domain {domid} to bind"
            )
        end = self.allocate(domid, remote[0], told, loop)
        end.other, other.other = other, end
        end.wake()
        return end

    def remove(self, end: End) -> None:
        """Idempotent."""
        self._ends.pop((end.domid, end.port), None)


class EmulatedChannels(EventChannels):
    """What one domain does with the event channels of others."""

    def __init__(self, domid: int, ports: Ports, faults: Faults, loop: asyncio.AbstractEventLoop) -> None:
        self._domid = domid
        self._ports = ports
        self._faults = faults
        self._loop = loop
        self._bound: list[End] = []

    def end(self) -> None:
        """Close every one."""
        for end in self._bound:
            end.close()

    def bind(self, domid: int, remote_port: int, told: Callable[[], None]) -> End:
        """See :class:`EventChannels`."""
        if self._faults.bind_fails(domid, remote_port):
            raise OSError(errno.EINVAL, f"event channel {remote_port} of guest {domid} can't be bound, as was ordered")
        self._bound = [end for end in self._bound if end.open]
        end = self._ports.bind(self._domid, (domid, remote_port), told, self._loop)
        self._bound.append(end)
        return end
