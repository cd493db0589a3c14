"""The header: what it says survives, and nothing that it may say does harm."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2.errors import Corrupt, ImageError
from tgtcore_cow.qcow2.header import (
    BACKING_NAME_BYTES_MAX,
    MAGIC,
    Autoclear,
    ExtensionType,
    Header,
    Incompatible,
    decode,
    feature_names,
)

PLAIN = Header(
    version=3,
    cluster_bits=16,
    size_bytes=1 << 30,
    l1_entries=2,
    l1_offset=3 << 16,
    refcount_table_offset=1 << 16,
    refcount_table_clusters=1,
)
VERSION_2 = replace(PLAIN, version=2)
NUMBER, WORD = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
NAMES = st.binary(max_size=60).map(lambda name: name.decode("utf-8", "surrogateescape")).filter(lambda n: "\0" not in n)
EXTENSIONS = st.lists(st.tuples(st.integers(1, (1 << 32) - 1), st.binary(max_size=40)), max_size=5).map(tuple)


def _bytes(header: Header = PLAIN) -> bytearray:
    return bytearray(header.encode().ljust(1 << header.cluster_bits, b"\0"))


def _with(*changes: tuple[int, str, int], header: Header = PLAIN) -> bytes:
    """A header where other numbers are: place, format, number."""
    encoded = _bytes(header)
    for place, form, number in changes:
        struct.pack_into(form, encoded, place, number)
    return bytes(encoded)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Headers that can be."""
    version, bits = draw(st.sampled_from([2, 3])), draw(st.integers(12, 21))
    cluster = 1 << bits
    places = st.integers(1, (1 << 40) // cluster).map(lambda number: number * cluster)
    snapshots = draw(st.integers(0, 65536))
    header = Header(
        version=version,
        cluster_bits=bits,
        size_bytes=draw(st.integers(0, 1 << 40)),
        l1_entries=1 << 22,
        l1_offset=draw(places),
        refcount_table_offset=draw(places),
        refcount_table_clusters=draw(st.integers(1, (8 << 20) // cluster)),
        snapshots=snapshots,
        snapshots_offset=draw(places) if snapshots else 0,
        backing_file=draw(NAMES),
        extensions=draw(EXTENSIONS),
    )
    if version == 2:
        return header
    zstd, extended, data_file = draw(st.booleans()), bits >= 14 and draw(st.booleans()), draw(st.booleans())
    return replace(
        header,
        refcount_order=draw(st.integers(0, 6)),
        compression="zstd" if zstd else "zlib",
        incompatible=draw(st.sampled_from([0, 1, 2, 3]))
        | (Incompatible.COMPRESSION if zstd else 0)
        | (Incompatible.EXTENDED_L2 if extended else 0)
        | (Incompatible.DATA_FILE if data_file else 0),
        compatible=draw(WORD),
        autoclear=draw(WORD) & ~(0 if data_file else Autoclear.DATA_FILE_RAW),
        unknown_fields=draw(st.binary(max_size=6).map(lambda some: some * 8)),
    )


@given(headers())
def test_what_it_says_survives(header: Header) -> None:
    assert decode(header.encode()) == header


@given(headers(), NUMBER, st.booleans())
def test_another_first_sector_changes_the_numbers_and_nothing_else(header: Header, number: int, dirty: bool) -> None:
    was = header.encode().ljust(1 << header.cluster_bits, b"\0")
    changed = replace(
        header,
        l1_offset=(1 + number) << header.cluster_bits,
        size_bytes=number * 16,
        incompatible=header.incompatible ^ (Incompatible.DIRTY if dirty and header.version == 3 else 0),
    )
    sector = changed.patched(was[:512])
    assert len(sector) == 512
    assert decode(sector + was[512:]) == changed
    assert header.patched(sector) == was[:512]


def test_a_header_of_104_bytes_stays_so_long_when_it_is_patched() -> None:
    old = _with((100, ">I", 104))
    assert decode(PLAIN.patched(old[:512]) + old[512:]) == decode(old) == PLAIN


@given(st.binary(max_size=300))
def test_hostile_bytes_are_a_header_or_an_error(data: bytes) -> None:
    for encoded in (data, MAGIC + data, MAGIC + b"\0\0\0\3" + data):
        _tried(encoded)


@given(st.lists(st.tuples(st.integers(4, 200), st.integers(0, 255)), max_size=12))
def test_damaged_bytes_are_a_header_or_an_error(damage: list[tuple[int, int]]) -> None:
    names = ((ExtensionType.FEATURE_NAMES, feature_names()), (ExtensionType.BACKING_FORMAT, b"raw"))
    encoded = _bytes(replace(PLAIN, backing_file="below", extensions=names))
    for place, value in damage:
        encoded[place] = value
    _tried(bytes(encoded))


def _tried(encoded: bytes) -> None:
    try:
        header = decode(encoded)
    except ImageError as error:
        assert str(error).isprintable()
    else:
        assert decode(header.encode()) == header


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"some text", r"this is no qcow2 image: it begins with b'some', expected b'QFI\\xfb'"),
        (b"", "this is no qcow2 image: it begins with b''"),
        (MAGIC + bytes(60), "the header ends after 64 bytes, expected at least 72"),
        (_with((4, ">I", 1)), "version 1 of the format is not supported; expected 2 or 3"),
        (_with((20, ">I", 8)), "clusters of 2 to the 8 bytes are not supported; expected an exponent of 9 to 21"),
        (_with((20, ">I", 22)), "clusters of 2 to the 22 bytes are not supported"),
        (_with((20, ">I", 1 << 31)), "clusters of 2 to the 2147483648 bytes are not supported"),
        (bytes(_bytes()[:100]), "the header ends after 100 bytes, expected at least 104"),
        (_with((100, ">I", 96)), "the header claims 96 bytes, expected 104 to 65536"),
        (_with((100, ">I", 65537)), "the header claims 65537 bytes"),
        (_with((104, ">B", 2)), "compression type 2 is not supported; expected zlib or zstd"),
        (_with((104, ">B", 1)), "compression type 1 contradicts the incompatible feature bits 0x0"),
        (_with((72, ">Q", 8)), "compression type 0 contradicts the incompatible feature bits 0x8"),
        (_with((112, ">I", 5), (116, ">I", 70000)), "header extension 0x00000005 has 70000 bytes, but only 65416 are"),
        (_with((8, ">Q", 200), (16, ">I", 1024)), "the name of the backing file has 1024 bytes at 200"),
        (_with((8, ">Q", 65500), (16, ">I", 100)), "the name of the backing file has 100 bytes at 65500"),
        (_with((8, ">Q", 1 << 63), (16, ">I", 1)), "the name of the backing file has 1 bytes at 9223372036854775808"),
        (
            _with((32, ">I", 1)),
            r"the image is encrypted \(AES\), which is not supported; convert it to one that is not",
        ),
        (_with((32, ">I", 2)), r"the image is encrypted \(LUKS\)"),
        (_with((32, ">I", 7)), r"the image is encrypted \(method 7\)"),
        (_with((96, ">I", 7)), "reference counts of 2 to the 7 bits, expected at most 64 bits"),
        (_with((72, ">Q", 16), header=replace(PLAIN, cluster_bits=13)), "8192 bytes are too small to have subclusters"),
        (_with((88, ">Q", 2)), "the data file is a raw image, but there is no data file"),
        (_with((24, ">Q", 1 << 63)), "the disk has 9223372036854775808 bytes, expected at most"),
        (_with((36, ">I", (4 << 20) + 1)), "the L1 table has 4194305 entries, expected at most 4194304"),
        (_with((36, ">I", 1)), "the L1 table has 1 entries, expected at least 2 for 1073741824 bytes"),
        (_with((56, ">I", 0)), "there is no refcount table"),
        (_with((56, ">I", 129)), "the refcount table has 129 clusters, expected at most 8 MiB"),
        (_with((60, ">I", 65537)), "there are 65537 snapshots, expected at most 65536"),
        (_with((40, ">Q", 0)), "the L1 table is at 0, expected a multiple of 65536 after the header"),
        (_with((40, ">Q", 65537)), "the L1 table is at 65537"),
        (_with((48, ">Q", 1 << 60)), "the refcount table is at 1152921504606846976"),
        (_with((60, ">I", 1)), "the snapshot table is at 0"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(encoded: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode(encoded)


def test_unknown_features_are_named_as_the_image_names_them() -> None:
    table = struct.pack(">BB46s", 0, 40, b"holograms") + struct.pack(">BB46s", 1, 41, b"of another kind")
    table += struct.pack(">BB46s", 0, 42, "\x1b[2J\xff".encode("latin-1")) + struct.pack(">BB46s", 0, 43, b"")
    named = replace(PLAIN, extensions=((ExtensionType.FEATURE_NAMES, table + b"rest"),))
    bits = 1 << 40 | 1 << 41 | 1 << 42 | 1 << 43
    with pytest.raises(ImageError) as caught:
        decode(_with((72, ">Q", bits), header=named))
    assert str(caught.value) == (
        "the image needs features that are not supported: holograms, bit 41, ?[2J\N{REPLACEMENT CHARACTER}, bit 43"
    )
    with pytest.raises(ImageError, match=r"not supported: bit 5, bit 63$"):
        decode(_with((72, ">Q", 1 << 63 | 1 << 5)))


def test_the_features_of_our_images_have_names_that_others_can_tell() -> None:
    table = feature_names()
    assert len(table) == 8 * 48
    assert table[:48] == b"\0\0dirty bit".ljust(48, b"\0")


@pytest.mark.parametrize("header", [PLAIN, VERSION_2], ids=["3", "2"])
def test_extensions_are_kept_and_replaced_one_by_one(header: Header) -> None:
    unknown = (0xABCD, b"what is this")
    one = replace(header, extensions=(unknown, (ExtensionType.BACKING_FORMAT, b"raw")))
    assert one.backing_format == "raw"
    two = decode(one.encode()).with_extension(ExtensionType.BACKING_FORMAT, b"qcow2")
    assert (two.backing_format, two.extension(0xABCD)) == ("qcow2", b"what is this")
    assert two.with_extension(ExtensionType.BACKING_FORMAT, None).extensions == (unknown,)
    assert header.extension(0xABCD) is None


def test_of_two_extensions_with_a_number_the_first_counts() -> None:
    assert replace(PLAIN, extensions=((7, b"a"), (7, b"b"))).extension(7) == b"a"


def test_what_we_do_not_keep_up_is_not_claimed_any_more() -> None:
    header = replace(PLAIN, autoclear=(1 << 64) - 1, compatible=(1 << 64) - 1)
    assert header.written_by_us() == replace(header, autoclear=Autoclear.BITMAPS | Autoclear.DATA_FILE_RAW)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, (False, False, False)),
        ({"incompatible": Incompatible.EXTENDED_L2}, (True, False, False)),
        ({"incompatible": Incompatible.DATA_FILE}, (False, True, False)),
        ({"incompatible": Incompatible.DATA_FILE, "autoclear": Autoclear.DATA_FILE_RAW}, (False, True, True)),
        ({"autoclear": Autoclear.DATA_FILE_RAW}, (False, False, False)),
    ],
)
def test_the_bits_in_words(keys: dict[str, Any], expected: tuple[bool, bool, bool]) -> None:
    header = replace(PLAIN, **keys)
    assert (header.extended_l2, header.has_data_file, header.data_file_is_raw) == expected


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ImageError, match="the name of the backing file has 1024 bytes, expected at most 1023"):
        replace(PLAIN, backing_file="x" * (BACKING_NAME_BYTES_MAX + 1)).encode()
    with pytest.raises(ImageError, match=r"the header has 620 bytes with its extensions .* one cluster of 512"):
        replace(PLAIN, cluster_bits=9, backing_file="x" * 500).encode()


def test_damage_and_what_is_not_supported_are_told_apart() -> None:
    with pytest.raises(Corrupt):
        decode(_with((56, ">I", 0)))
    with pytest.raises(ImageError) as caught:
        decode(_with((32, ">I", 1)))
    assert not isinstance(caught.value, Corrupt)
