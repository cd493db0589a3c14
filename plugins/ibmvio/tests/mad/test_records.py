"""Records as bytes: offsets as the client's headers have them."""

import struct

import pytest
from tgtcore_ibmvio.mad import OsType, PartnerRecord
from tgtcore_ibmvio.mad.records import (
    ADAPTER_INFO_BYTES,
    CAPABILITIES_BYTES_MAX,
    CAPABILITIES_BYTES_MIN,
    adapter_info,
    answer_capabilities,
)


def capability(kind, length, data=b"\0" * 4):
    return struct.pack(">IHH", kind, length, 0) + data


def capabilities(*entries, flags=0xF):
    head = struct.pack(">I32s32s", flags, b"client", b"U9117-V2-C3")
    return bytearray(head + b"".join(entries))


def test_what_a_server_says_of_itself():
    record = adapter_info("vios1", 1, OsType.LINUX, 1 << 20)
    assert len(record) == ADAPTER_INFO_BYTES == 148
    assert record[:8] == b"16.a\0\0\0\0"
    assert record[8:14] == b"vios1\0"
    assert [int.from_bytes(record[at : at + 4], "big") for at in (104, 108, 112, 116, 120)] == [1, 1, 2, 1 << 20, 0]


def test_it_reads_what_it_writes():
    record = PartnerRecord.parse(memoryview(adapter_info("vios1", 1, OsType.AIX, 4096)))
    assert record == PartnerRecord("16.a", "vios1", 1, 1, 3, 4096)
    assert record.os_name == "AIX"


def test_a_name_is_never_too_long_nor_strange():
    record = PartnerRecord.parse(memoryview(adapter_info("é\x1b" + "x" * 200, 1, OsType.LINUX, 0)))
    assert record.partition_name == "??" + "x" * 94


def test_an_operating_system_that_nobody_knows_is_a_number():
    info = bytearray(adapter_info("a", 1, OsType.LINUX, 0))
    info[112:116] = (77).to_bytes(4, "big")
    assert PartnerRecord.parse(memoryview(info)).os_name == "77"


@pytest.mark.parametrize("turned", [False, True])
def test_capabilities_in_any_order(turned):
    known = [capability(1, 12), capability(2, 12, b"\0\0\0\1"), capability(9, 8, b"")]
    data = capabilities(*(reversed(known) if turned else known))
    assert answer_capabilities(memoryview(data), "vios1")
    flags, name, location = struct.unpack_from(">I32s32s", data)
    assert (flags, name.rstrip(b"\0"), location.rstrip(b"\0")) == (0xC, b"vios1", b"U9117-V2-C3")
    found, at = {}, CAPABILITIES_BYTES_MIN
    while at < len(data):
        kind, length, served = struct.unpack_from(">IHH", data, at)
        found[kind] = served
        at += length
    assert found == {1: 1, 2: 1, 9: 0}


@pytest.mark.parametrize(
    "entries", [[capability(1, 7)], [capability(1, 0)], [capability(1, 13)], [capability(1, 12), b"\0" * 5]]
)
def test_lengths_that_make_no_sense(entries):
    assert not answer_capabilities(memoryview(capabilities(*entries)), "vios1")


def test_a_list_of_any_allowed_length_comes_to_an_end():
    for length in range(CAPABILITIES_BYTES_MIN, CAPABILITIES_BYTES_MAX + 1):
        assert answer_capabilities(memoryview(bytearray(length)), "vios1") == (length == CAPABILITIES_BYTES_MIN)
