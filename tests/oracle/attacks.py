"""What a hostile driver process does with its ring: each function one kind of attack, in the order of :data:`ATTACKS`."""

import fcntl
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable

from isolation.hostile import Hostile
from oracle.commands import BLOCK_BYTES, compare_and_write, read16, test_unit_ready, write16

from tgtcore.limits import NEXUSES_PER_DRIVER_MAX
from tgtcore.ring import Event, Request, RingFunction, messages, words

_log = logging.getLogger(__name__)

_NEXUSES = 2000
_LIES = 4
_MODE_SELECT = b"\x15\x10\0\0\x20\0"
_UNMAP = struct.pack(">BBLBHB", 0x42, 0, 0, 0, 0x4000, 0)
_RESERVE = struct.pack(">BBLBHB", 0x5F, 0, 0, 0, 24, 0)
_LONG_CDB = b"\x7f" + bytes(6) + b"\xf8" + bytes(252)


def begin(hostile: Hostile, how: str, events: int) -> None:
    """Do it, then break a rule, then wait for the end.

    Others go first where processors are short: how many of those this process gets is no concern of the core's.
    """
    os.nice(19)
    _log.warning("life %d: %s", hostile.seed, how)
    hostile.open(1)
    hostile.announce()
    time.sleep(0.01)
    try:
        ATTACKS[how](hostile, events)
        hostile.slot()[0] = 0
        hostile.announce()
    except OSError as error:
        _log.warning("it has been dropped: %s", error)
    time.sleep(3600)


def chance(hostile: Hostile, events: int) -> None:
    """Everything, with a thread that changes what the core is reading."""
    hostile.wildness = hostile.random.choice((0.001, 0.01, 0.1))
    _thread(hostile.flip)
    while hostile.posted < events:
        hostile.run(64)


def garbage(hostile: Hostile, events: int) -> None:
    """Nothing that means anything."""
    hostile.garbage()
    hostile.announce()


def flood(hostile: Hostile, events: int) -> None:
    """Requests as they should be, as fast as they are answered."""
    hostile.fill(Request.TASK_MANAGEMENT, function=RingFunction.QUERY_TASK_SET, nexus=1)
    hostile.repeat(events)


def transfers(hostile: Hostile, events: int) -> None:
    """Reads of 1 MiB, as fast as they are answered."""
    length = 1 << 20
    hostile.fill(
        Request.COMMAND,
        attribute=1,
        cdb_length=16,
        nexus=1,
        data_in_room=length,
        data_in_expected=length,
        cdb=read16(0, length // BLOCK_BYTES),
    )
    hostile.repeat(events // 20)


def storm(hostile: Hostile, events: int) -> None:
    """The doorbell for each request."""
    hostile.fill(Request.TASK_MANAGEMENT, function=RingFunction.QUERY_TASK_SET, nexus=1)
    hostile.repeat(events, at_once=1)


def deaf(hostile: Hostile, events: int) -> None:
    """Nobody listens to the answers: their doorbell is full soon, and then the ring."""
    fcntl.fcntl(hostile.attached.response_bell, fcntl.F_SETPIPE_SZ, 4096)
    while hostile.posted < events:
        hostile.post(
            Request.TASK_MANAGEMENT, function=RingFunction.QUERY_TASK_SET, nexus=1, id=1 << 32 | hostile.posted
        )
        hostile.announce()


def resets(hostile: Hostile, events: int) -> None:
    """Many nexuses, each with a command, and resets of which each of them must be told."""
    _log_in(hostile, range(2, _NEXUSES))
    for number in range(2, _NEXUSES):
        hostile.post(Request.COMMAND, attribute=1, cdb_length=6, nexus=number, id=number, cdb=test_unit_ready())
    hostile.announce()
    time.sleep(0.1)
    hostile.fill(Request.TASK_MANAGEMENT, function=RingFunction.LOGICAL_UNIT_RESET, nexus=1)
    hostile.repeat(events)


def crowd(hostile: Hostile, events: int) -> None:
    """As many nexuses as there may be, and one more."""
    _log_in(hostile, range(2, NEXUSES_PER_DRIVER_MAX + 2))


def stuck(hostile: Hostile, events: int) -> None:
    """As many writes as there may be, that wait for data which never comes."""
    _log_in(hostile, range(2, 5))
    for number in range(hostile.memory.geometry.depth):
        hostile.post(
            Request.COMMAND,
            attribute=1,
            cdb_length=16,
            nexus=1 + number % 4,
            id=1 << 32 | number,
            data_out_expected=1 << 20,
            cdb=write16(0, 2048),
        )
    hostile.announce()
    time.sleep(0.2)


def changes(hostile: Hostile, events: int) -> None:
    """Commands with parameters that change while they are parsed, and CDBs that do."""
    data = hostile.memory.data
    _thread(lambda: data.__setitem__(slice(0, 4096), hostile.random.randbytes(4096)))
    cdbs = (_MODE_SELECT, _UNMAP, _RESERVE, compare_and_write(0, 4), write16(0, 1 << 31), _LONG_CDB)
    for number in range(events):
        cdb = hostile.random.choice(cdbs)
        hostile.post(
            Request.COMMAND,
            attribute=1,
            cdb_length=len(cdb),
            nexus=1,
            id=1 << 32 | number,
            data_out_length=4096,
            data_out_expected=4096,
            cdb=cdb if len(cdb) <= messages.CDB_INLINE_BYTES else b"",
        )
        if number % 64 == 63:
            hostile.announce()
            hostile.listen()
            time.sleep(0.001)


def descriptors(hostile: Hostile, events: int) -> None:
    """Those of pipes, of sockets that take long to close, and more listening ones than anybody needs."""
    link = hostile.attached.link
    link.setblocking(True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if hostile.seed % 2:
            lingering = socket.create_connection(listening.getsockname())
            peer, _ = listening.accept()
            lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("2i", 1, 3600))
            lingering.setblocking(False)
            try:
                while True:
                    lingering.send(bytes(1 << 16))
            except BlockingIOError:
                pass
            socket.send_fds(link, [b""], [])
            for _ in range(8):
                socket.send_fds(link, [b"here"], [lingering.fileno()] * 253)
            lingering.close()
            time.sleep(3600)
            peer.close()
        for _ in range(1000):
            socket.send_fds(link, [b"here"], [listening.fileno()])


def chatter(hostile: Hostile, events: int) -> None:
    """More to log than anybody would read, in lines as short as they can be."""
    until = time.monotonic() + events / 3000
    while time.monotonic() < until:
        os.write(2, b"x\n" * 4096)


def liar(hostile: Hostile, events: int) -> None:
    """Answers of which each is as long, and as deep, as it can be; every other process gives each of them twice."""
    answers = (
        b"[" * hostile.memory.geometry.event_bytes,
        json.dumps({"1": [{"name": "n", "relative_id": 1, "group": 1, "protocol": 5}] * 16000}).encode(),
        b'{"\\n2026 forged": ' + b"1" * 4000 + b"}",
    )
    answer = answers[hostile.seed % len(answers)]
    os.set_blocking(hostile.attached.response_bell, True)
    until = hostile.posted + _LIES
    while hostile.posted < until:
        for at in hostile.said():
            kind, _, _, _, event_id, buffer, _, _, _ = messages.EVENT.unpack_from(hostile.memory.responses, at)
            if kind >= min(Event):
                place = buffer * hostile.memory.geometry.event_bytes
                hostile.memory.events[place : place + len(answer)] = answer
                for _ in range(1 + hostile.seed % 2):
                    hostile.post(Request.ACKNOWLEDGE, length=len(answer), id=event_id)
                    hostile.announce()


def silent(hostile: Hostile, events: int) -> None:
    """No answer, and nothing else."""
    time.sleep(3600)


def _log_in(hostile: Hostile, numbers: Iterable[int]) -> None:
    """Open nexuses, with the same words for each."""
    payload = words.join((b"initiator", b"127.0.0.1", b"host", b"port"))
    hostile.memory.data[: len(payload)] = payload
    for number in numbers:
        hostile.post(
            Request.NEXUS_OPEN,
            protocol=5,
            relative_id=1,
            nexus=number,
            id=number,
            length=len(payload),
            target=1,
            group=1,
        )
        if number % 100 == 0:
            hostile.announce()
            time.sleep(0.005)
    hostile.announce()


def _thread(work: Callable[[], None]) -> None:
    def again() -> None:
        while True:
            work()

    threading.Thread(target=again, daemon=True).start()


ATTACKS: dict[str, Callable[[Hostile, int], None]] = {
    one.__name__: one
    for one in (
        chance,
        garbage,
        flood,
        transfers,
        storm,
        deaf,
        resets,
        crowd,
        stuck,
        changes,
        descriptors,
        chatter,
        liar,
        silent,
    )
}
