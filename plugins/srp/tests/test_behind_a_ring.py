"""Commands whose data can not be moved, or that are aborted meanwhile, with the logical units beyond a driver process's ring."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.identity import PROTOCOL, initiator_port, target_port
from tgtcore_srp.iu.opcodes import ResponseCode, TaskManagementFunction
from tgtcore_srp.memory import Memory
from tgtcore_srp.port import SrpPort

from tgtcore import Host, Nexus, NoOptions, Target, Transport
from tgtcore.scsi.status import Status
from tgtcore.testing.host import READY, TestHost, content, read, write
from tgtcore.testing.ring import DriverOnThisLoop
from tgtcore.testing.transport_rig import Rig

if TYPE_CHECKING:
    from conftest import Peer


class Wire(Transport):
    """SRP channels of the test's own making."""

    protocol = PROTOCOL

    def __init__(self, host: Host) -> None:
        super().__init__(host, NoOptions())
        self.fails = False
        """Whether the machine has no memory."""
        self.memory = Memory(1 << 20, self._make)
        self.port = SrpPort(self)

    def _make(self, length: int) -> bytearray:
        if self.fails:
            raise MemoryError
        return bytearray(length)

    def open(self, initiator_port_id: bytes, target_port_id: bytes) -> Nexus:
        (target,) = self.host.targets()
        return self.host.open_nexus(target, initiator_port(initiator_port_id), target_port(target_port_id, 1))

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def stop_listening(self) -> None:
        self.port.listening = False

    async def drop_target(self, target: Target) -> None:
        await self.close()

    async def close(self) -> None:
        gone = self.host.loop.create_future()
        self.port.close("the transport ends", lambda: gone.set_result(None))
        await gone


class Scene:
    """A transport behind a ring with one channel.

    :param make_peer: makes the channel.
    """

    def __init__(self, make_peer: "Callable[..., Peer]") -> None:
        self.loop = asyncio.new_event_loop()
        self.host = TestHost(self.loop, "tested", "disk")
        self.rig = Rig(self.loop, self.host, DriverOnThisLoop(self.host, Wire))
        self.rig.run(self.rig.driver.start())
        transport = self.rig.transport
        assert isinstance(transport, Wire)
        self.transport = transport
        self.peer = make_peer(transport, 1)
        self.peer.log_in()

    def answers(self, count: int) -> list[tuple[int, int, int | None, int]]:
        """Turn the loop until so many answers are there: tag, status, response code and delta of each."""
        self.rig.until(lambda: len(self.peer.fabric.sent) >= count, "the answer")
        return [(one.tag, one.status, one.code, one.delta) for one in self.peer.answers()]

    def until_moving(self) -> None:
        self.rig.until(lambda: self.peer.fabric.moving, "RDMA")


@pytest.fixture
def scene(make_peer: "Callable[..., Peer]") -> Iterator[Scene]:
    scene = Scene(make_peer)
    yield scene
    scene.rig.end()
    assert scene.peer.gone
    assert (scene.transport.memory.held_bytes, scene.transport.port.sessions()) == (0, [])
    scene.rig.run(asyncio.sleep(0))
    scene.loop.close()


def test_data_in_both_directions(scene: Scene) -> None:
    scene.peer.command(1, write(512), content(512))
    assert scene.answers(1) == [(1, Status.GOOD, None, 1)]
    scene.peer.command(2, read(512), room=512, at=4096)
    assert scene.answers(1) == [(2, Status.GOOD, None, 1)]
    assert scene.host.device(0).written == scene.peer.fabric.ram[4096 : 4096 + 512] == content(512)


@pytest.mark.parametrize("moved", [False, None])
def test_data_that_can_not_be_moved(scene: Scene, moved: bool | None) -> None:
    scene.peer.fabric.moves = moved
    scene.peer.command(1, write(64), content(64))
    if moved is None:
        scene.until_moving()
        scene.peer.fabric.move(ok=False)
    assert scene.answers(1) == [(1, Status.CHECK_CONDITION, None, 1)]
    assert scene.host.device(0).written == b""


def test_no_memory_for_data(scene: Scene) -> None:
    scene.transport.fails = True
    scene.peer.command(1, write(64), content(64))
    assert scene.answers(1) == [(1, Status.BUSY, None, 1)]
    assert scene.host.device(0).written == b""


@pytest.mark.parametrize("ok", [False, True])
def test_a_command_that_is_aborted_while_it_gets_its_data(scene: Scene, ok: bool) -> None:
    scene.peer.fabric.moves = None
    scene.peer.command(1, write(64), content(64))
    scene.until_moving()
    scene.peer.function(2, TaskManagementFunction.ABORT_TASK, task_tag=1)
    scene.peer.fabric.moves = True
    scene.peer.command(3, READY)
    assert scene.answers(1) == [(3, Status.GOOD, None, 1)]
    scene.peer.fabric.move(ok)
    assert scene.answers(1) == [(2, Status.GOOD, ResponseCode.COMPLETE, 2)]
    assert scene.host.device(0).written == b""


def test_a_channel_that_is_lost_while_data_is_moved(scene: Scene) -> None:
    scene.peer.fabric.moves = None
    scene.peer.command(1, write(64), content(64))
    scene.until_moving()
    scene.peer.fabric.lose()
    scene.rig.until(lambda: scene.peer.gone, "the end of the channel")
    assert scene.host.device(0).written == b""
