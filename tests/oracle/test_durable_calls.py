"""The kernel's own word: system calls for durability have returned before the response of the command is sent."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oracle.commands import (
    BLOCK_BYTES,
    compare_and_write,
    synchronize_cache10,
    synchronize_cache16,
    unmap,
    unmap_list,
    write16,
    write_and_verify16,
    write_same16,
)
from oracle.libiscsi import Session
from oracle.mode_bits import disable_write_cache
from oracle.served import Served

_COMMANDS = 20

# strace splits a call that another thread interrupts into "call(... <unfinished ...>" and "<... call resumed>... = result".
_DURABLE = re.compile(
    r"(?:pwritev2\(|pwritev2 resumed>).*RWF_DSYNC\) += (-?\d+)|fdatasync(?:\(| resumed>).*\) += (-?\d+)"
)
_RESPONSE = re.compile(r'(?:sendmsg|sendto|writev?)\(.*?"!\\200\\0')  # opcode 21h, final, target's answer 00h


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def daemon(tmp_path: Path, trace: Path) -> Iterator[Served]:
    """A disk whose system calls are written down in their order."""
    strace = (
        "strace",
        "-D",
        "-f",
        "-o",
        trace,
        "-s",
        "8",
        "-e",
        "trace=pwritev2,fdatasync,sendmsg,sendto,write,writev",
    )
    with Served.disk(tmp_path, tmp_path / "disk.img", options=("--size", "16M"), under=strace) as served:
        yield served


def durable_calls_before_responses(daemon: Served, trace: Path) -> list[int]:
    """For each response, how many calls had returned with success since the one before; ends the daemon."""
    assert daemon.stop() == 0
    deadline = time.monotonic() + 10
    end = re.compile(rf"^{daemon.pid} +\+\+\+ exited", re.M)
    while not end.search(text := trace.read_text(errors="replace")):
        assert time.monotonic() < deadline, "strace did not end"
        time.sleep(0.02)
    found, calls = [], 0
    for line in text.splitlines():
        if returned := _DURABLE.search(line):
            calls += int(returned[1] or returned[2]) >= 0
        elif _RESPONSE.search(line):
            found.append(calls)
            calls = 0
    return found


@pytest.mark.parametrize("blocks", [8, 512])
def test_a_write_with_fua_is_durable_before_good(daemon: Served, trace: Path, blocks: int) -> None:
    with Session(daemon.url) as session:
        session.ready()
        for number in range(_COMMANDS):
            assert session.command(
                write16(number * blocks, blocks, fua=True), data_out=bytes(blocks * BLOCK_BYTES)
            ).good
    assert durable_calls_before_responses(daemon, trace)[-_COMMANDS:] == [1] * _COMMANDS


@pytest.mark.parametrize(
    ("cdb", "data_out"),
    [
        (write_and_verify16(0, 8), bytes(8 * BLOCK_BYTES)),
        (compare_and_write(0, 4, fua=True), bytes(8 * BLOCK_BYTES)),
    ],
    ids=["WRITE AND VERIFY", "COMPARE AND WRITE"],
)
def test_what_is_to_be_on_the_medium_is_before_good(daemon: Served, trace: Path, cdb: bytes, data_out: bytes) -> None:
    with Session(daemon.url) as session:
        session.ready()
        assert session.command(cdb, data_out=data_out).good
    assert durable_calls_before_responses(daemon, trace)[-1] > 0


@pytest.mark.parametrize(
    ("cdb", "data_out"),
    [
        (write16(0, 8), bytes(8 * BLOCK_BYTES)),
        (compare_and_write(0, 4), bytes(8 * BLOCK_BYTES)),
        (write_same16(0, 2048), bytes(BLOCK_BYTES)),
        (unmap(24), unmap_list(0, 2048)),
    ],
    ids=["WRITE", "COMPARE AND WRITE", "WRITE SAME", "UNMAP"],
)
def test_without_write_cache_everything_is_durable_before_good(
    daemon: Served, trace: Path, cdb: bytes, data_out: bytes
) -> None:
    with Session(daemon.url) as session:
        session.ready()
        assert session.command(cdb, data_out=data_out).good
        disable_write_cache(session)
        assert session.command(cdb, data_out=data_out).good
    calls = durable_calls_before_responses(daemon, trace)
    assert calls[-1] > 0
    assert calls[2] == 0, "with the cache it would not be"


@pytest.mark.parametrize("synchronize", [synchronize_cache10, synchronize_cache16])
def test_synchronize_cache_is_durable_before_good(
    daemon: Served, trace: Path, synchronize: Callable[[], bytes]
) -> None:
    with Session(daemon.url) as session:
        session.ready()
        for number in range(_COMMANDS):
            assert session.command(write16(number * 8, 8), data_out=bytes(8 * BLOCK_BYTES)).good
            assert session.command(synchronize()).good
    assert durable_calls_before_responses(daemon, trace)[-2 * _COMMANDS :] == [0, 1] * _COMMANDS
