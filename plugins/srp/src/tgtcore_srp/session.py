"""A session: one initiator port logged in to one target port, through one RDMA channel or several (SRP 4.1)."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tgtcore import Tmf, TmfRequest, manage
from tgtcore_srp.identity import name_of
from tgtcore_srp.task import SrpTask

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_srp.channel import Channel


class Session:
    """What the channels of one I_T nexus share.

    :param initiator_port_id: 16 bytes.
    :param target_port_id: 16 bytes.
    :param gone: told when the nexus is closed and the last channel is gone.
    """

    def __init__(
        self, initiator_port_id: bytes, target_port_id: bytes, nexus: "Nexus", gone: "Callable[[Session], None]"
    ) -> None:
        self.key = initiator_port_id, target_port_id
        self.nexus = nexus
        self.channels: list[Channel] = []
        """Those that are logged in."""
        self.moving: dict[int, SrpTask] = {}
        """By tag, the commands that RDMA is under way for: the initiator's memory is in use."""
        self._waiting: list[tuple[set[int], Callable[[], None]]] = []
        self._gone = gone
        self._holders = 0
        """Its channels that are not gone, and the nexus while it is being closed."""
        self._awaited: list[Callable[[], None]] = []

    def __str__(self) -> str:
        initiator, target = self.key
        return f"session of {name_of(initiator)} with {name_of(target)}"

    @property
    def ending(self) -> bool:
        """Whether it only waits for its last command."""
        return self.nexus.leases.draining

    # ---- RDMA ---------------------------------------------------------------------------------------------------------

    def when_still(self, concerned: "Callable[[SrpTask], bool]", then: Callable[[], None]) -> None:
        """Call ``then`` when no RDMA of these commands goes on any more and they have been answered, perhaps now.

        RDMA that begins later does not count.
        """
        tags = {tag for tag, task in self.moving.items() if concerned(task)}
        if tags:
            self._waiting.append((tags, then))
        else:
            then()

    def stopped(self, tag: int) -> None:
        """RDMA for a command is over, and the command with it."""
        del self.moving[tag]
        ready = []
        for tags, then in self._waiting:
            tags.discard(tag)
            if not tags:
                ready.append(then)
        if ready:
            self._waiting = [one for one in self._waiting if one[0]]
            for then in ready:
                then()

    def when_delivered(self, channels: "Iterable[Channel]", then: Callable[[], None]) -> None:
        """Call ``then`` when the initiator has what was sent through these, perhaps now."""
        when_all([one.fabric.when_delivered for one in channels], then)

    # ---- its beginning and end ------------------------------------------------------------------------------------------

    def join(self, channel: "Channel") -> None:
        """A channel has logged in."""
        self.channels.append(channel)
        channel.memory.sharers += 1
        self._holders += 1

    def leave(self, channel: "Channel", then: Callable[[], None]) -> None:
        """A channel takes no more commands; ``then`` when its last has ended.  The nexus goes with the last channel."""
        self.channels.remove(channel)
        channel.memory.sharers -= 1
        if self.channels:
            self._abort(channel, then)
        else:
            self._holders += 1
            self.nexus.close(lambda: self._closed(then))

    def _abort(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Abort what has come through a channel while the nexus goes on; ``then`` when the last has ended."""
        mine = [task for task in self.nexus.tasks.values() if isinstance(task, SrpTask) and task.channel is channel]
        when_all([task.when_ended for task in mine], then)
        for task in reversed(mine):  # so that none of them lets another one start
            manage(self.nexus, TmfRequest(Tmf.ABORT_TASK, task.lun, task.tag), lambda response: None)

    def _closed(self, then: Callable[[], None]) -> None:
        then()
        self.release()

    def release(self) -> None:
        """One of its channels is gone."""
        self._holders -= 1
        if self._holders == 0:
            self._gone(self)
            awaited, self._awaited = self._awaited, []
            for told in awaited:
                told()

    def when_gone(self, told: Callable[[], None]) -> None:
        """Call ``told`` when nothing is left of it, perhaps now."""
        if self._holders:
            self._awaited.append(told)
        else:
            told()


def when_all(waits: Iterable[Callable[[Callable[[], None]], None]], then: Callable[[], None]) -> None:
    """Call ``then`` when each of these has told, perhaps now."""
    waiting = list(waits)
    remaining = 1 + len(waiting)

    def one() -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining:
            then()

    for wait in waiting:
        wait(one)
    one()
