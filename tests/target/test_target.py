"""Who may open an I_T nexus anew."""

import asyncio

import pytest

from tgtcore.errors import Draining, NexusInUse
from tgtcore.nexus import InitiatorPort, TargetPort
from tgtcore.task import State
from tgtcore.testing.host import HELD, TestHost
from tgtcore.testing.initiator import MemoryTask

PORT = InitiatorPort("host", b"host")
ENDS = TargetPort("one", 1, 1, 5)


@pytest.mark.asyncio
async def test_an_initiator_that_has_lost_its_nexus_is_back_when_its_commands_have_ended() -> None:
    """What they write must not land over what it writes then; others need not wait."""
    host = TestHost(asyncio.get_running_loop(), "fake", "disks")
    lost = host.open_nexus(host.target, PORT, ENDS)
    task = MemoryTask(lost, 0, 1, 0, HELD.ljust(16, b"\0"), b"", 0)
    lost.submit(task)
    lost.close(lambda: None)
    assert task.state is not State.ENDED
    with pytest.raises(NexusInUse, match="target disks still has commands of this initiator") as refusal:
        host.open_nexus(host.target, PORT, ENDS)
    assert isinstance(refusal.value, Draining)
    for port, ends in ((InitiatorPort("host", b"other"), ENDS), (PORT, TargetPort("two", 2, 1, 5))):
        host.open_nexus(host.target, port, ends)
    host.device(0).release()
    host.open_nexus(host.target, PORT, ENDS)
    host.open_nexus(host.target, PORT, ENDS)  # two at once are the transport's affair
