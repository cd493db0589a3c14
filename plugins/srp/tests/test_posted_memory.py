"""A fabric as hardware is: memory for what arrives is posted before, and an answer is sent from a copy."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.channel import Channel
from tgtcore_srp.fabric import Fabric, Moved, Segment
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import TaskManagementFunction as Function
from tgtcore_srp.iu.response import Response
from tgtcore_srp.quirks import Quirks

from tgtcore.testing.host import HELD, READY

if TYPE_CHECKING:
    from tgtcore_srp.slots import Slot

    from conftest import Bench
    from tgtcore import Buffer, Region

LIMIT = 8


class PostingFabric(Fabric):
    """Has no memory for a unit that arrives but what was posted; an initiator that heeds its credits always finds some."""

    channel: Channel

    def __init__(self, rules: Rules) -> None:
        super().__init__(iu_bytes_max=512, answer_bytes_max=256, may_request=True)
        self.posted: deque[Slot] = deque()
        self.end = InitiatorChannel(self.arrive, rules)

    def post(self) -> None:
        while (slot := self.channel.slot_to_post()) is not None:
            self.posted.append(slot)

    def send(self, iu: bytes, slot: "Slot") -> None:
        slot.sent()
        self.post()
        self.end.receive(iu)

    def arrive(self, unit: bytes) -> None:
        slot = self.posted.popleft()
        slot.view[: len(unit)] = unit
        self.channel.receive(slot, len(unit))
        self.post()

    def read(self, segments: Sequence[Segment], into: memoryview, then: Callable[[bool], None]) -> Moved:
        raise NotImplementedError

    def write(self, segments: Sequence[Segment], data: "Buffer | Region", then: Callable[[bool], None]) -> Moved:
        raise NotImplementedError

    def disconnect(self) -> None:
        self.posted.clear()
        self.channel.lost()


class Client:
    """An initiator that has logged in, and what it was answered."""

    def __init__(self, bench: "Bench", rules: Rules) -> None:
        fabric = self.fabric = PostingFabric(rules)
        fabric.channel = self.channel = Channel("posting", bench.port, fabric, bench.memory, Quirks(), LIMIT)
        fabric.post()
        self.end = fabric.end
        self.answers: list[Response | LoginResponse | LoginReject | None] = []
        self.end.login(LoginRequest(1, 512, 6, bytes(16), bytes(range(16))), self.answers.append)
        assert isinstance(self.answers.pop(), LoginResponse)

    def fill(self, cdb: bytes) -> None:
        """Send commands up to the limit, but for the one that is kept."""
        while self.end.room:
            self.end.command(0, cdb.ljust(16, b"\0"), self.answers.append)


@pytest.fixture
def client(bench: "Bench") -> Client:
    return Client(bench, Rules(requests_max=LIMIT))


def test_there_is_memory_for_the_whole_limit_and_more_as_soon_as_an_answer_is_there(
    bench: "Bench", client: Client
) -> None:
    for _ in range(3):
        client.fill(HELD)
        assert client.end.credits == 1
        bench.device().release()
        assert client.end.credits == LIMIT
    assert [answer.status for answer in client.answers if isinstance(answer, Response)] == [0] * 3 * (LIMIT - 1)
    bench.end()


def test_slots_of_commands_without_an_answer_are_posted_before_their_credits_are_back(
    bench: "Bench", client: Client
) -> None:
    """Each time all but one go, and come back with the function."""
    for _ in range(3):
        client.fill(HELD)
        client.end.manage(Function.LOGICAL_UNIT_RESET, 0, client.answers.append)
        bench.device().release()
        assert client.end.credits == LIMIT
    client.end.command(0, READY.ljust(16, b"\0"), client.answers.append)
    bench.end()


def test_one_slot_is_left_for_a_request_of_the_target(bench: "Bench") -> None:
    """Another initiator's reset takes all credits, and no answer brings them back; so the initiator has to be asked."""
    client = Client(bench, Rules())
    bench.host.lus[0].task_aborted_status = False
    client.fill(HELD)
    other = bench.session(2)
    other.function(1, Function.LOGICAL_UNIT_RESET)
    bench.device().release()
    assert client.end.credits > 1
    client.end.command(0, READY.ljust(16, b"\0"), client.answers.append)
    assert client.channel.slots.count - len(client.fabric.posted) == 1
    bench.end()
