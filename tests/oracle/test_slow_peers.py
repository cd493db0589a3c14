"""One slow or silent initiator costs the others nothing, and the daemon no memory."""

import contextlib
import re
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest
from oracle.commands import read16
from oracle.libiscsi import InitiatorError, Session
from oracle.relay import Relay
from oracle.served import TARGET, Served

_ROUNDS = 5
_ROUND_S = 2
_PEERS = 6
_GROWTH_BYTES = 48 << 20
_AVERAGE = re.compile(r"iops average (\d+)")


def throughput(url: str) -> float:
    """4 KiB random reads a second, 32 at a time."""
    command = ["iscsi-perf", "-m", "32", "-b", "8", "-r", "-t", str(_ROUND_S), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_ROUND_S + 20).stdout
    return float(_AVERAGE.findall(said)[-1])


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.M)
    return int(kib) << 10


@contextmanager
def not_reading(served: Served) -> Iterator[None]:
    """Initiators that ask for much and then take nothing of it."""
    with ExitStack() as stack:
        relays = [stack.enter_context(Relay("127.0.0.1", served.portal)) for _ in range(_PEERS)]
        threads = []
        for relay in relays:
            session = Session(f"iscsi://127.0.0.1:{relay.address[1]}/{TARGET}/0", timeout_s=60)
            session.ready()
            thread = threading.Thread(target=_ask, args=(session, relay), daemon=True)
            thread.start()
            threads.append(thread)
        time.sleep(0.3)
        yield
        for relay in relays:
            relay.cut()
            relay.restore()
        for thread in threads:
            thread.join(10)


def _ask(session: Session, relay: Relay) -> None:
    timer = threading.Timer(0.05, relay.hold)
    timer.start()
    with contextlib.suppress(InitiatorError):
        while True:
            session.command(read16(0, 16384), read=8 << 20)
    timer.join()
    session.drop()


@contextmanager
def one_byte_a_second(served: Served) -> Iterator[None]:
    """Initiators whose login comes byte by byte."""
    ended = threading.Event()
    connections = [socket.create_connection(served.portal, timeout=5) for _ in range(_PEERS)]
    head = bytes((0x43, 0x87)) + bytes(46)

    def trickle() -> None:
        for byte in head:
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.send(bytes((byte,)))
            if ended.wait(1):
                return

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
        for connection in connections:
            connection.close()


@contextmanager
def silent(served: Served) -> Iterator[None]:
    """Connections on which nothing is ever said."""
    connections = [socket.create_connection(served.portal, timeout=5) for _ in range(_PEERS)]
    yield
    for connection in connections:
        connection.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("disturb", [not_reading, one_byte_a_second, silent])
def test_others_keep_their_throughput(
    daemon: Served, disturb: Callable[[Served], AbstractContextManager[None]]
) -> None:
    throughput(daemon.url)
    before = resident(daemon.pid)
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(_ROUNDS):
        for results, state in ((alone, nullcontext()), (beside, disturb(daemon))):
            with state:
                results.append(throughput(daemon.url))
    assert resident(daemon.pid) - before < _GROWTH_BYTES
    assert statistics.median(beside) >= 0.9 * statistics.median(alone), (alone, beside)
