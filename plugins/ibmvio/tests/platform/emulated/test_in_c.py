"""A client partition in C that was written after the page: it is as fast as it can be, and the server is Python."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tgtcore_ibmvio.platform.hcall import Hcall

SOURCE = Path(__file__).with_name("echo_partition.c")
WINDOW = 0x7000_0000_0000
UNDER_WAY_MAX = 512
ELEMENTS = 100_000
WARNINGS = ("-Wall", "-Wextra", "-Werror")


class Echo:
    """Writes the number of each element where the partition looks for it, and sends the element back."""

    def __init__(self, bench: Any) -> None:
        self._bench = bench
        self._waiting: list[bytes] = []
        self.events: list[bytes] = []

    def element(self, element: bytes) -> None:
        if element[0] == 0xFF:
            self.events.append(element)
            return
        number = int.from_bytes(element[8:], "little")
        place = WINDOW + 4096 + number % UNDER_WAY_MAX * 8
        assert self._bench.adapter.write(place, element[8:]) is Hcall.SUCCESS
        self._waiting.append(element)
        if len(self._waiting) == 1:
            self._send()

    def _send(self) -> None:
        while self._waiting:
            if self._bench.adapter.send(self._waiting[0]) is Hcall.DROPPED:
                self._bench.loop.call_later(0.0001, self._send)
                return
            self._waiting.pop(0)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    built = tmp_path / "echo_partition"
    subprocess.run(["gcc", "-std=c11", "-O2", *WARNINGS, SOURCE, "-o", built], check=True, timeout=60)
    return built


@pytest.mark.oracle
@pytest.mark.asyncio
async def test_a_partition_in_c(bench: Any, program: Path) -> None:
    echo = Echo(bench)
    bench.adapter.free()
    bench.adapter.register(echo)
    command = [program, bench.path, str(ELEMENTS)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == (f"all {ELEMENTS}\n", "")
    await bench.until(lambda: echo.events == [b"\xff\x01" + bytes(14)], "the end of the partition")
