"""The page for authors of client partitions says what the code says."""

import re
from pathlib import Path
from struct import Struct, calcsize

import pytest
from tgtcore_ibmvio.platform.emulated import attaching, wire
from tgtcore_ibmvio.platform.emulated.adapter import COPY_BYTES_MAX
from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions
from tgtcore_ibmvio.platform.emulated.queue_pair import ELEMENTS_PER_RING, ELEMENTS_PER_TURN

PAGE = (Path(__file__).parents[5] / "docs" / "reference" / "ibmvio-emulated.md").read_text()
KINDS = {"I": "u32", "i": "i32", "Q": "u64"}
STRUCTS = {"hello": wire.HELLO, "welcome": wire.WELCOME, "call": wire.CALL, "return": wire.RETURN}


def fields(layout: Struct) -> list[tuple[int, str]]:
    """Offset and type of each field, as the page writes them."""
    found = []
    offset = 0
    for count, code in re.findall(r"(\d*)([sIiQ])", layout.format):
        for _ in range(1 if code == "s" or not count else int(count)):
            found.append((offset, f"{count} bytes" if code == "s" else KINDS[code]))
            offset += calcsize(f"<{count}s") if code == "s" else calcsize(f"<{code}")
    assert offset == layout.size
    return found


@pytest.mark.parametrize("name", STRUCTS)
def test_every_packet_is_in_the_page(name: str) -> None:
    section = PAGE.partition(f"### {name}\n\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| `\w+` \| ([^|]+) \|", section, re.MULTILINE)
    assert [(int(offset), kind) for offset, kind in rows] == fields(STRUCTS[name])


@pytest.mark.parametrize("call", wire.Call)
def test_every_call_is_in_the_page(call: wire.Call) -> None:
    assert f"| {call:X}h | `{call.name}` |" in PAGE


@pytest.mark.parametrize("name", ["SERVER_OPEN", "SERVER_WAITS", "CLIENT_WAITS"])
def test_every_word_of_the_header_is_in_the_page(name: str) -> None:
    assert f"| {getattr(wire, name) * 8} | `{name.lower()}` | u64 |" in PAGE


def test_the_limits_are_in_the_page() -> None:
    assert f"| time for the hello | {attaching.HELLO_S:g} s |" in PAGE
    assert f"| server's queue | {wire.SERVER_QUEUE_BYTES // 16} elements |" in PAGE
    assert f"| elements of one partition heard in a turn of the loop | {ELEMENTS_PER_TURN} |" in PAGE
    assert (
        f"| elements of one partition heard before it is rung for what they have led to | {ELEMENTS_PER_RING} |" in PAGE
    )
    assert f"| one copy (H_COPY_RDMA) | {COPY_BYTES_MAX >> 10} KiB" in PAGE
    assert f"{EmulatedOptions.model_fields['memory_max'].default >> 20} MiB by default" in PAGE
