"""How client partitions come to an adapter: one at a time, and nobody who says what can't be."""

import asyncio
import dataclasses
import errno
import fcntl
import mmap
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from tgtcore_ibmvio.platform.contract import Partner
from tgtcore_ibmvio.platform.emulated import Emulated, EmulatedOptions, attaching, order, port
from tgtcore_ibmvio.platform.emulated.client import AsyncClientPartition, Call, Refused
from tgtcore_ibmvio.platform.emulated.wire import HELLO, WELCOME, Hello, Status
from tgtcore_ibmvio.platform.hcall import Hcall

PAGE = 4096
GOOD = Hello(1, "one", PAGE, 0, PAGE)


def text(welcome: bytes) -> tuple[int, str]:
    _, _, status, *_, words = WELCOME.unpack(welcome)
    return status, words.rstrip(b"\0").decode()


# ---- the socket -----------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_socket_is_for_its_owner_and_goes_with_the_adapter(bench: Any) -> None:
    assert stat.S_IMODE(bench.path.stat().st_mode) == 0o600
    assert bench.path.name == "30000003.sock"
    await bench.machine.release(bench.adapter)
    assert list(bench.directory.iterdir()) == []


@pytest.mark.asyncio
async def test_the_socket_may_be_for_a_group_and_its_folder_is_made(tmp_path: Path) -> None:
    import grp

    group = grp.getgrgid(os.getegid()).gr_name
    machine = Emulated(EmulatedOptions(directory=tmp_path / "a" / "b", group=group), asyncio.get_running_loop())
    adapter = await machine.open(1)
    path = tmp_path / "a" / "b" / "1.sock"
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, os.getegid())
    await machine.release(adapter)


@pytest.mark.asyncio
async def test_an_adapter_is_opened_once(bench: Any) -> None:
    with pytest.raises(OSError, match=r"adapter 30000003: socket .*30000003.sock: another program is using it"):
        await bench.machine.open(0x30000003)
    await bench.attach()


@pytest.mark.asyncio
async def test_a_socket_that_can_not_be_made(tmp_path: Path) -> None:
    machine = Emulated(EmulatedOptions(directory=tmp_path / ("long" * 30)), asyncio.get_running_loop())
    with pytest.raises(OSError, match="choose a shorter one"):
        await machine.open(1)


@pytest.mark.asyncio
async def test_a_machine_that_keeps_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order.platform, "machine", lambda: "aarch64")
    machine = Emulated(EmulatedOptions(directory=tmp_path), asyncio.get_running_loop())
    with pytest.raises(OSError, match=r"need a machine that keeps the order of stores.*this is aarch64"):
        await machine.open(1)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"directory": "here"}, "expected an absolute path"),
        ({"directory": "/x", "group": "nobody-at-all"}, "there is no group 'nobody-at-all'"),
        ({"directory": "/x", "memory_max": 4095}, "greater than or equal to 4096"),
        ({}, "Field required"),
    ],
)
def test_keys_that_are_wrong(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        EmulatedOptions(**keys)


# ---- the hello ------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_partition_has_a_number_and_a_name(bench: Any) -> None:
    client = await bench.attach(dataclasses.replace(bench.hello, number=65535, name="ä" * 47 + "b"))
    assert bench.adapter.partner == Partner(65535, "ä" * 47 + "b")
    assert client.unit_address == 0x30000003


CHANGED = dataclasses.replace
REFUSALS = {
    "short": (b"hello", "a hello of 5 bytes, expected 136"),
    "long": (bytes(5000), "a hello of 137 bytes, expected 136"),
    "magic": (bytes(HELLO.size), "this is no client partition"),
    "number 0": (CHANGED(GOOD, number=0), "partition number 0, expected 1 to 65535"),
    "number": (CHANGED(GOOD, number=65536), "partition number 65536, expected 1 to 65535"),
    "no memory": (CHANGED(GOOD, memory_bytes=0), "a memory of 0 bytes, expected whole pages of 4096"),
    "memory": (CHANGED(GOOD, memory_bytes=PAGE + 1), "a memory of 4097 bytes, expected whole pages of 4096"),
    "much": (CHANGED(GOOD, memory_bytes=(256 << 20) + PAGE), "at most 268435456"),
    "no window": (CHANGED(GOOD, window_bytes=0), "a DMA window of 0 bytes, expected whole pages of 4096"),
    "window": (CHANGED(GOOD, window_bytes=(1 << 64) - PAGE), "a DMA window of 18446744073709547520 bytes"),
    "start": (CHANGED(GOOD, window_start=1), "a DMA window at 0x1, expected a page below"),
    "high": (CHANGED(GOOD, window_start=1 << 63), "a DMA window at 0x8000000000000000, expected a page below"),
    "no name": (CHANGED(GOOD, name=""), "1 to 95 printable bytes"),
    "name": (CHANGED(GOOD, name="x" * 96), "1 to 95 printable bytes"),
    "control": (CHANGED(GOOD, name="a\x1b[2J"), "1 to 95 printable bytes"),
    "utf-8": (GOOD.packet()[:40] + b"\xff" * 10 + bytes(86), "the partition's name is no UTF-8"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("hello", "words"), REFUSALS.values(), ids=REFUSALS)
async def test_a_hello_that_can_not_be(bench: Any, hello: bytes | Hello, words: str) -> None:
    with bench.connect() as link:
        link.send(hello.packet() if isinstance(hello, Hello) else hello)
        status, told = text(await bench.answer(link))
        assert (status, words in told) == (Status.REFUSED, True), told
        assert await bench.answer(link) == b""
    await bench.attach()


@pytest.mark.asyncio
async def test_another_version_is_refused_as_such(bench: Any) -> None:
    with bench.connect() as link:
        link.send(GOOD.packet()[:8] + b"\x02\0\0\0" + GOOD.packet()[12:])
        assert text(await bench.answer(link)) == (
            Status.OTHER_VERSION,
            "the partition speaks version 2, this machine version 1",
        )


@pytest.mark.asyncio
async def test_who_says_nothing_is_not_waited_for(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, bench.connect() as link:
        patch.setattr(attaching, "HELLO_S", 0.02)
        assert await bench.answer(link) == b""
    await bench.attach()


@pytest.mark.asyncio
async def test_who_hangs_up_without_a_hello_or_an_answer(bench: Any) -> None:
    bench.connect().close()
    for _ in range(3):
        with bench.connect() as link:
            link.send(GOOD.packet())
    await bench.until(lambda: bench.adapter._port._greeting is None, "the end of all greetings")
    await bench.attach()


@pytest.mark.asyncio
async def test_descriptors_that_nobody_wants_are_closed(bench: Any) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with bench.connect() as link:
        socket.send_fds(link, [GOOD.packet()], [0] * 100)
        assert text(await bench.answer(link))[0] == Status.WELCOME
        await bench.until(lambda: len(os.listdir("/proc/self/fd")) < before + 10, "the end of descriptors")


@pytest.mark.asyncio
async def test_without_memory_a_partition_is_refused(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(os, "memfd_create", none)
    with pytest.raises(Refused, match=r"there is no memory for it: .*Cannot allocate memory"):
        await bench.attach()
    assert bench.adapter.partner is None
    monkeypatch.undo()
    await bench.attach()


@pytest.mark.asyncio
async def test_memory_that_can_not_be_sealed_is_not_kept(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", refused)
    with pytest.raises(Refused, match="Operation not permitted"):
        await bench.attach()


@pytest.mark.asyncio
async def test_without_descriptors_attaching_waits(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "_PAUSE_S", 0.01)
    full = bench.adapter._port._listening
    refusals = iter([OSError(errno.EMFILE, "Too many open files")] * 3)

    class Full:
        fileno = full.fileno
        close = full.close

        def accept(self) -> Any:
            for error in refusals:
                raise error
            return full.accept()

    bench.adapter._port._listening = Full()
    await bench.attach()
    assert list(refusals) == []


# ---- one at a time --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_second_partition_is_refused_in_words(bench: Any) -> None:
    client = await bench.attach()
    with pytest.raises(Refused, match="adapter 30000003 has another client partition"):
        await bench.attach()
    with bench.connect() as link:
        assert text(await bench.answer(link))[0] == Status.REFUSED
    assert client.send(b"\x80" * 16) is Hcall.SUCCESS
    await bench.until(lambda: bench.heard.elements == [b"\x80" * 16], "an element")


@pytest.mark.asyncio
async def test_the_next_one_may_come_as_soon_as_one_has_gone(bench: Any) -> None:
    for _ in range(20):
        client = await AsyncClientPartition.attach(bench.path, bench.hello)
        client.close()
    await bench.attach()


@pytest.mark.asyncio
async def test_an_adapter_may_be_released_while_somebody_attaches(bench: Any) -> None:
    with bench.connect() as silent:
        await bench.until(lambda: bench.adapter._port._greeting is not None, "a greeting")
        await bench.machine.release(bench.adapter)
        assert await bench.answer(silent) == b""


@pytest.mark.asyncio
async def test_a_client_hears_of_the_end_of_the_machine(bench: Any) -> None:
    client = await bench.attach()
    await bench.machine.release(bench.adapter)
    assert await client.receive(20) == [b"\xff\x01" + bytes(14)]
    with pytest.raises(ConnectionResetError):
        await client.receive(20)
    with pytest.raises(ConnectionResetError):
        await client.call(Call.H_FREE_CRQ)
    assert client.send(b"\x80" * 16) is Hcall.CLOSED


# ---- the memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_nobody_changes_the_size_of_the_memory(bench: Any) -> None:
    with bench.connect() as link:
        link.send(GOOD.packet())
        await bench.until(lambda: bench.adapter.partner is not None, "the partition")
        packet, fds, _, _ = socket.recv_fds(link, WELCOME.size, 3)
        memory = fds[0]
        total = WELCOME.unpack(packet)[5]
        assert os.fstat(memory).st_size == total
        for length in (0, total - 1, total + 1):
            with pytest.raises(PermissionError):
                os.ftruncate(memory, length)
        for seal in (fcntl.F_SEAL_WRITE, fcntl.F_SEAL_GROW):
            with pytest.raises(PermissionError):
                fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seal)
        with mmap.mmap(memory, total) as mapped:
            assert mapped[:8] == b"TGTVIO\0\0"
        for fd in fds:
            os.close(fd)
