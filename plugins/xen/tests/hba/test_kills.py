"""The back end is killed between any two of its stores, another one takes its place, and the guest does not notice.

What a process stores into the ring, into the journal and into the guest's pages is cut at every place there is.  Then nothing of
the process is left but that, and what its commands have done to the medium.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tgtcore_xen.hba.journal import Journal
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import SUCCEEDED, Host, result

from tgtcore import PENDING, DeviceType, Identity, LogicalUnit, NoOptions, Task, command
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import content
from tgtcore.testing.initiator import forget_attentions

if TYPE_CHECKING:
    from conftest import Bench

OWNER = "web1/0"
LUN = 2
DATA_BYTES = 600
GOOD, ERROR, ABORTED = result(Host.OK), result(Host.ERROR), result(Host.ABORT)


def _wanted(device: Any, task: Task) -> int:
    return DATA_BYTES


class Medium(DeviceType):
    """Remembers how often each command was performed, over the deaths of processes."""

    code = 0x1F
    needs_store = False
    performed: ClassVar[list[bytes]] = []

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.held: list[Task] = []

    @command(0x2A, "2A 00 FF FF FF FF 00 00 00 00", wants=_wanted)
    def write(self, task: Task) -> None:
        """What may be performed twice."""
        assert task.data_out == content(DATA_BYTES)
        self.performed.append(task.cdb[:6])

    @command(0x0A, "0A 00 FF FF FF FF", wants=_wanted)
    def write_once(self, task: Task) -> None:
        """What may be performed only once."""
        assert task.data_out == content(DATA_BYTES)
        self.performed.append(task.cdb[:6])

    @command(0x28, "28 00 FF FF FF FF 00 00 00 00")
    def read(self, task: Task) -> None:
        """Give data."""
        task.data_in = content(DATA_BYTES)

    @command(0x35, "35 00 FF FF FF FF 00 00 00 00")
    def hold(self, task: Task) -> Any:
        """Go on until the test says that it ends."""
        self.held.append(task)
        return PENDING


class Killed(BaseException):
    """The process is no more."""


class Kill:
    """Kills the process at one of its stores.

    :param at: how many are done before; None: it lives.
    :param partly: whether a store of many bytes is done in part.
    """

    def __init__(self, at: int | None, *, partly: bool) -> None:
        self.at = at
        self.partly = partly
        self.stores = 0
        self.dead = False

    def store(self, whole: Callable[[], Any], part: Callable[[], Any] = lambda: None) -> Any:
        if self.dead:
            raise Killed
        if self.stores == self.at:
            self.dead = True
            if self.partly:
                part()
            raise Killed
        self.stores += 1
        return whole()


class Words:
    """Numbers that are stored at once."""

    def __init__(self, view: memoryview, kill: Kill) -> None:
        self.view, self.kill = view, kill

    def __getitem__(self, at: int) -> int:
        return self.view[at]

    def __setitem__(self, at: int, value: int) -> None:
        self.kill.store(lambda: self.view.__setitem__(at, value))

    def __iter__(self) -> Iterator[int]:
        return iter(self.view)

    def release(self) -> None:
        self.view.release()


class Slot:
    """Bytes that are stored one after the other."""

    def __init__(self, view: memoryview, kill: Kill) -> None:
        self.view, self.kill = view, kill

    def __bytes__(self) -> bytes:
        return bytes(self.view)

    def __setitem__(self, at: slice, value: bytes) -> None:
        half = len(value) // 2
        self.kill.store(
            lambda: self.view.__setitem__(at, value),
            lambda: self.view.__setitem__(slice(half), value[:half]),
        )

    def release(self) -> None:
        self.view.release()


class Story:
    """What a guest does, whatever becomes of the back end."""

    def __init__(self, bench: "Bench", kills: Iterator[Kill]) -> None:
        self.bench = bench
        self.path = bench.folder / "journal"
        self.kills = kills
        self.deaths = 0
        self.kill = Kill(None, partly=False)
        self.asked: list[Request] = []
        self.answers: dict[int, Response] = {}
        Medium.performed.clear()
        self.begin(Journal.new(self.path, OWNER))

    # ---- processes ----------------------------------------------------------------------------------------------------

    def begin(self, journal: Journal | None) -> None:
        """A process begins."""
        assert journal is not None
        bench = self.bench
        identity = Identity.make("medium", b"medium".ljust(16, b"\0"))
        self.lu = LogicalUnit(identity, Medium, None, NoOptions())
        bench.host.target.map(LUN, self.lu)
        forget_attentions(bench.nexus)
        self.kill = kill = next(self.kills)
        connection: Any = bench.connect(journal, start=False)
        for one in (connection._ring, journal):
            held: Any = one
            held._words = Words(held._words, kill)
            held._slots = [Slot(slot, kill) for slot in held._slots]
        grants: Any = bench.platform.grants
        copy, notify = grants.copy, connection._channel.notify
        grants.copy = lambda copies: kill.store(lambda: copy(copies), lambda: copy(copies[: len(copies) // 2]))
        connection._channel.notify = lambda: kill.store(notify)
        self.run(connection.start)

    def run(self, *steps: Callable[[], Any]) -> None:
        """Do something, and let everything happen; a process that is killed at that gets a successor."""
        bench = self.bench
        for step in (*steps, bench.loop.run):
            while True:
                try:
                    step()
                except Killed:
                    if step == bench.loop.run:
                        continue  # with what the guest does; what the process wants to do raises again
                break
        for response in bench.front.take():
            assert response.rqid not in self.answers, "it was answered twice"
            assert response.rqid in [request.rqid for request in self.asked]
            self.answers[response.rqid] = response
        if self.kill.dead:
            self.deaths += 1
            bench.platform.die()
            bench.start()
            self.begin(Journal.found(self.path, OWNER))

    # ---- what the guest does ------------------------------------------------------------------------------------------

    def ask(self, *kinds: str) -> None:
        while self.bench.front.ring.room < len(kinds):
            self.release()
        self.run(lambda: self.bench.front.put(*map(self._request, kinds)))

    def _request(self, kind: str) -> Request:
        front, rqid = self.bench.front, len(self.asked)
        if kind.startswith("abort "):
            request = front.abort(rqid, int(kind[6:]), LUN)
        elif kind == "wrong":
            request = front.command(rqid, bytes(6))._replace(direction=0)
        else:
            opcode = {"write": 0x2A, "once": 0x0A, "read": 0x28, "hold": 0x35}[kind]
            segments = front.segments(DATA_BYTES, rqid, 4096 - 100)[: 0 if kind == "hold" else None]
            out = kind in ("write", "once")
            front.fill(segments, content(DATA_BYTES) if out else bytes(DATA_BYTES))
            cdb = bytes((opcode, 0)) + rqid.to_bytes(4, "big")
            request = front.command(rqid, cdb, segments, out=out, lun=LUN)
        self.asked.append(request)
        return request

    def release(self) -> None:
        device: Any = self.lu.device
        held, device.held = device.held, []
        self.run(*(task.complete for task in held))

    def tell(self) -> None:
        """All of it: commands end in another order than they came, and the ring goes round."""
        self.ask("hold", "write", "once", "read", "wrong")
        self.ask("read", "once", "hold", "write", "abort 0")
        self.release()
        self.ask("write", "once", "abort 10", "once", "read", "write", "hold", "once", "write", "read", "once", "wrong")
        self.release()
        self.ask("hold", *["once", "write", "read"] * 4)
        self.release()
        while self.lu.device.held:  # type: ignore[attr-defined]
            self.release()  # again, in a process that has taken them up

    # ---- what has come of it ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Each request was answered once, and rightly."""
        assert sorted(self.answers) == list(range(len(self.asked)))
        for request in self.asked:
            self._check(request, self.answers[request.rqid], Medium.performed.count(request.cdb[:6]))
        self.bench.end()

    def _check(self, request: Request, answer: Response, performed: int) -> None:
        opcode, front = request.cdb[0], self.bench.front
        if request.act == 2:
            assert answer.result == SUCCEEDED
        elif request.direction == 0:
            assert answer.result == ERROR
        elif opcode == 0x0A:
            assert performed <= 1, "it was performed twice"
            if answer.result == GOOD:
                assert performed == 1
            elif answer.result != ABORTED:
                assert answer.result == Status.CHECK_CONDITION
                sense = parse_sense(answer.sense)
                assert (sense.key, sense.code) == (SenseKey.ABORTED_COMMAND, asc.LOGICAL_UNIT_COMMUNICATION_FAILURE)
                assert self.deaths
        elif answer.result == ABORTED:
            assert request.rqid in (0, 10)
        else:
            assert answer.result == GOOD
            assert opcode != 0x2A or performed
            assert opcode != 0x28 or front.data(request.segments) == content(DATA_BYTES)
            assert self.deaths or performed <= 1


MakeBench = Callable[..., "Bench"]


def _told(make_bench: MakeBench, *kills: Kill) -> Story:
    def each() -> Iterator[Kill]:
        yield from kills
        while True:
            yield Kill(None, partly=False)

    story = Story(make_bench(connect=False), each())
    story.tell()
    story.check()
    return story


def test_nobody_is_killed(make_bench: MakeBench) -> None:
    story = _told(make_bench)
    assert story.deaths == 0
    assert all(answer.result != Status.CHECK_CONDITION for answer in story.answers.values())
    assert story.kill.stores > 150


@pytest.mark.parametrize("partly", [False, True])
def test_killed_at_every_store(make_bench: MakeBench, partly: bool) -> None:
    at = 0
    while _told(make_bench, Kill(at, partly=partly)).deaths:
        at += 1
    assert at > 150


def test_killed_again_and_again(make_bench: MakeBench) -> None:
    """Also while it takes up what another one has left."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 120), st.booleans()), min_size=2, max_size=6))
    @example([(4, False), (44, False), (45, False), (12, False)])
    @example([(20, True), (0, False), (1, True), (2, False), (3, True)])
    def check(kills: list[tuple[int, bool]]) -> None:
        _told(make_bench, *(Kill(at, partly=partly) for at, partly in kills))

    check()
