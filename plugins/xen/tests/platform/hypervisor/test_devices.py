"""What the kernel is asked, byte for byte, and what is made of its answers."""

import asyncio
import ctypes
import errno
import os
import struct
from pathlib import Path

import pytest
from tgtcore_xen.platform.contract import Copy, Piece
from tgtcore_xen.platform.hypervisor.addresses import Held
from tgtcore_xen.platform.hypervisor.batch import SEGMENTS
from tgtcore_xen.platform.hypervisor.channels import DeviceChannels
from tgtcore_xen.platform.hypervisor.files import TIMES
from tgtcore_xen.platform.hypervisor.grants import DeviceGrants
from tgtcore_xen.vscsiif.segments import build_segments, parse_segments

from tgtcore import OpenFile, Region

from .kernel import BIND, COPY, MAP, NOTIFY, UNBIND, UNMAP, FakeDevice, read_memory


class Scripted(FakeDevice):
    """Keeps the segments that it is asked to copy, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[list[bytes]] = []
        self.statuses: dict[int, int] = {}
        """By reference."""
        self.sent: dict[int, bytes] = {}
        """What guests have got, by reference."""
        self.memory = b""
        """What guests have."""
        self.fails_with = 0
        self.too_many = 1 << 30
        self.returns = 0

    def answer(self, request: int, argument: bytearray) -> int:
        if request == COPY:
            count, _, address = struct.unpack("<IIQ", argument)
            segments = [ctypes.string_at(address + 24 * number, 24) for number in range(count)]
            self.segments.append(segments)
            if self.fails_with == errno.EBADF:
                raise OSError(errno.EBADF, "as the test wants")
            if count > self.too_many:
                raise OSError(errno.EFAULT, "as the test wants")
            for number, segment in enumerate(segments):
                remote = 0 if segment[18] == 1 else 8
                (reference,) = struct.unpack_from("<I", segment, remote)
                (place,), (length,) = (
                    struct.unpack_from("<Q", segment, 8 - remote),
                    struct.unpack_from("<H", segment, 16),
                )
                if remote:
                    self.sent[reference] = read_memory(place, length)
                elif self.memory:
                    ctypes.memmove(place, self.memory, length)
                status = struct.pack("<h", self.statuses.get(reference, 0))
                ctypes.memmove(address + 24 * number + 20, status, 2)
        elif self.fails_with:
            raise OSError(self.fails_with, "as the test wants")
        return self.returns

    def map(self, index: int, length: int):
        raise OSError(errno.EINVAL, "no such grant")


@pytest.fixture
def device():
    device = Scripted()
    yield device
    device.close()


@pytest.fixture
def grants(device):
    grants = DeviceGrants(device)
    yield grants
    grants.close()


PAGES = 127
ACROSS = 4096
"""Pages; somewhere in so many is an address whose lowest three bytes are zero."""
FILE_BYTES = 2 * ACROSS * 4096
STAGED_PAGES = 1024
"""So many are copied once more, to where pages of ours begin."""


def pages(count: int) -> list[Piece]:
    return [Piece(0x11223300 + number, 0, 4096) for number in range(count)]


def content(count: int) -> bytes:
    return b"".join(bytes((number,)) * 4096 for number in range(count))


def address_of(segment: bytes) -> int:
    """Where we have what is copied to a guest."""
    return struct.unpack_from("<Q", segment)[0]


def page_segment(address: int, number: int, *, to_guest: bool) -> bytes:
    ours, guests = struct.pack("<Q", address), bytes((number,)) + bytes.fromhex("332211 0000 0500")
    return (
        ours + guests + bytes.fromhex("0010 0200 0100 0000")
        if to_guest
        else guests + ours + bytes.fromhex("0010 0100 0100 0000")
    )


def test_a_copy_to_a_guest_byte_for_byte(device, grants) -> None:
    assert grants.copy([Copy(5, True, [Piece(0x11223344, 0x0102, 2), Piece(9, 0, 4096)], b"abcdef")]) == [True]
    ((first, second),) = device.segments
    address = address_of(first)
    assert address % 4096 == 0x0102, "it would lie across a boundary of pages sooner than in the guest"
    assert first == struct.pack("<Q", address) + bytes.fromhex("44332211 0201 0500  0200 0200 0100 0000")
    assert second == struct.pack("<Q", address + 2) + bytes.fromhex("09000000 0000 0500  0400 0200 0100 0000")
    assert device.sent == {0x11223344: b"ab", 9: b"cdef"}
    ((request, argument),) = device.calls
    assert (request, argument[:8]) == (COPY, bytes.fromhex("02000000 00000000"))


def test_a_copy_from_a_guest_byte_for_byte(device, grants) -> None:
    memory, device.memory = bytearray(3), b"abc"
    assert grants.copy([Copy(0x7EF0, False, [Piece(7, 4093, 3)], memoryview(memory))]) == [True]
    ((segment,),) = device.segments
    assert segment[:8] + segment[16:] == bytes.fromhex("07000000 fd0f f07e 0300 0100 0100 0000")
    assert memory == b"abc"


@pytest.mark.parametrize("to_guest", [True, False])
@pytest.mark.parametrize("before", [0, 1])
def test_whole_pages_byte_for_byte(device, grants, to_guest: bool, before: int) -> None:
    memory = bytearray(content(PAGES))
    whole, length = parse_segments(build_segments(pages(PAGES)))
    assert length == len(memory)
    device.memory = b"x" * 4096
    others = [Copy(6, True, [Piece(1, 2, 3)], bytearray(3))] * before
    assert grants.copy([*others, Copy(5, to_guest, whole, memory), *others]) == [True] * (1 + 2 * before)
    (segments,) = device.segments
    assert len(segments) == PAGES + 2 * before
    found = segments[before : PAGES + before]
    address = address_of(found[0][0 if to_guest else 8 :])
    assert address % 4096 == 0
    assert found == [page_segment(address + 4096 * number, number, to_guest=to_guest) for number in range(PAGES)]
    if to_guest:
        assert all(device.sent[0x11223300 + number] == bytes((number,)) * 4096 for number in range(PAGES))
    else:
        assert memory == b"x" * 4096 * PAGES


def test_whole_pages_of_many_guests_both_ways(device, grants) -> None:
    """Each copy has its own domain, direction and length, whatever was copied before."""
    device.memory = b"x" * 4096
    for guests, count in ((2, 2), (3, 1), (1, 5), (2, 3), (100, 4)):
        whole, _ = parse_segments(build_segments(pages(count)))
        copies = [(domid, to_guest) for domid in range(100, 100 + guests) for to_guest in (True, False)]
        batch = [Copy(domid, to_guest, whole, bytearray(content(count))) for domid, to_guest in copies]
        assert grants.copy(batch) == [True] * len(batch)
        segments = device.segments.pop()
        assert len(segments) == count * len(copies)
        for number, (domid, to_guest) in enumerate(copies):
            for at, segment in enumerate(segments[number * count : (number + 1) * count]):
                remote = segment[8:16] if to_guest else segment[:8]
                assert remote == struct.pack("<IHH", 0x11223300 + at, 0, domid)
                assert segment[16:] == struct.pack("<HHhH", 4096, 2 if to_guest else 1, 1, 0)
    assert len(grants._batch._made) <= 64, "guests come and go"


@pytest.mark.parametrize("to_guest", [True, False])
def test_what_has_no_place_is_copied_from_where_it_is(device, grants, to_guest: bool) -> None:
    whole, _ = parse_segments(build_segments(pages(PAGES)))
    count = STAGED_PAGES // PAGES + 2
    memories = [bytearray(content(PAGES)) for _ in range(count)]
    device.memory = b"x" * 4096
    parts = [*pages(PAGES - 1), Piece(1, 8, 4000)]
    batch = [Copy(5, to_guest, whole, memory) for memory in memories[:-1]] + [
        Copy(5, to_guest, parts, memoryview(memories[-1])[: (PAGES - 1) * 4096 + 4000])
    ]
    assert grants.copy(batch) == [True] * count
    del batch
    (segments,) = device.segments
    for number, memory in ((count - 2, memories[-2]), (count - 1, memories[-1])):
        held = Held(memory, True)
        held.release()
        first = segments[number * PAGES :][: PAGES - 1]
        assert first == [page_segment(held.address + 4096 * at, at, to_guest=to_guest) for at in range(PAGES - 1)]
        if not to_guest:
            assert memory.startswith(b"x" * 4096 * (PAGES - 1))
        memory.clear()  # BufferError while somebody holds it


def test_from_room_that_was_lent_the_kernel_copies_without_another_copy(device, grants) -> None:
    whole, length = parse_segments(build_segments(pages(PAGES)))
    rooms = [grants.room(size) for size in (length, 5000, length)]
    for number, room in enumerate(rooms):
        room[:] = bytes((number + 1,)) * len(room)
    starts = []
    for room in rooms:
        held = Held(room, True)
        starts.append(held.address)
        held.release()
    assert [start % 4096 for start in starts] == [0, 0, 0]
    batch = [
        Copy(5, True, whole, rooms[2]),
        Copy(6, True, [Piece(1, 0, 9)], b"other one"),
        Copy(5, True, [Piece(3, 96, 4000), Piece(4, 0, 4096)], rooms[1]),
        Copy(5, True, whole, rooms[0]),
    ]
    assert grants.copy(batch) == [True] * 4
    (segments,) = device.segments
    found = [address_of(segment) for segment in segments]
    run = range(0, length, 4096)
    assert found[:PAGES] == [starts[2] + at for at in run]
    assert found[PAGES] not in range(starts[0], starts[2] + length), "it would be over what was lent"
    assert found[PAGES + 1 : PAGES + 3] == [starts[1], starts[1] + 4000]
    assert found[PAGES + 3 :] == [starts[0] + at for at in run]
    assert (device.sent[1], device.sent[4]) == (b"other one", b"\2" * 1000)


def test_room_is_lent_for_all_calls_of_a_copy_and_given_back_however_it_ends(device, grants) -> None:
    half = STAGED_PAGES // 2
    many = [Piece(9999, 0, 1)] * (SEGMENTS - half)
    others = [Copy(5, True, many, bytes((number,)) * len(many)) for number in range(3)]
    for fails in (False, True, False):
        rooms = [grants.room(half * 4096) for _ in range(2)]
        assert grants.room(1) is None
        batch = list(others)
        for number, room in enumerate(rooms):
            room[:] = bytes((number + 1,)) * len(room)
            batch += [Copy(5, True, [Piece(half * number + at, 0, 4096) for at in range(half)], room), others[number]]
        if fails:
            device.fails_with = errno.EBADF
            with pytest.raises(OSError, match="as the test wants"):
                grants.copy(batch)
            device.fails_with = 0
        else:
            device.sent.clear()
            assert grants.copy(batch) == [True] * 7
            assert [len(call) for call in device.segments] == [len(many), len(many), SEGMENTS, SEGMENTS, len(many)]
            assert all(device.sent[at] == bytes((at // half + 1,)) * 4096 for at in range(2 * half))
        device.segments.clear()


@pytest.fixture
def file(tmp_path):
    """Pages with their number in each byte, which begins again with each 251 of them; most of them are holes."""
    path = tmp_path / "file"
    with path.open("wb") as made:
        for start in (0, ACROSS - PAGES):
            made.seek(start * 4096)
            made.write(b"".join(bytes(((start + page) % 251,)) * 4096 for page in range(2 * PAGES)))
        made.truncate(FILE_BYTES)
    return OpenFile(os.open(path, os.O_RDONLY))


def shown(grants, file, first: int, pieces, length: int = PAGES * 4096):
    """A piece of it; all that the test uses has been read often before."""
    for _ in range(TIMES):
        assert grants.show(Region(file, 0, FILE_BYTES), pages(1)) is None
    found = grants.show(Region(file, first * 4096, length), pieces)
    assert found is not None
    return found


@pytest.mark.parametrize("before", [0, 1])
def test_whole_pages_of_a_file_byte_for_byte(device, grants, file, before: int) -> None:
    whole, _ = parse_segments(build_segments(pages(PAGES)))
    piece = shown(grants, file, 3, whole)
    others = [Copy(6, True, [Piece(1, 2, 3)], bytearray(3))] * before
    assert grants.copy([*others, Copy(5, True, whole, piece), *others]) == [True] * (1 + 2 * before)
    (segments,) = device.segments
    found = segments[before : PAGES + before]
    assert found == [page_segment(piece.address + 4096 * number, number, to_guest=True) for number in range(PAGES)]
    assert [device.sent[0x11223300 + number] for number in range(PAGES)] == [
        bytes((3 + number,)) * 4096 for number in range(PAGES)
    ]


def test_whole_pages_of_a_file_on_both_sides_of_an_address_of_which_more_bytes_change(device, grants, file) -> None:
    whole, length = parse_segments(build_segments(pages(PAGES)))
    start = shown(grants, file, 0, whole).address
    boundary = -start % (1 << 24) // 4096
    if boundary < PAGES:
        boundary += ACROSS
    for first in (boundary - PAGES, boundary - PAGES + 1, boundary - 1, boundary):
        piece = grants.show(Region(file, first * 4096, length), whole)
        assert piece.address == start + first * 4096
        assert grants.copy([Copy(5, True, whole, piece)]) == [True]
        assert device.segments.pop() == [
            page_segment(piece.address + 4096 * number, number, to_guest=True) for number in range(PAGES)
        ]


def test_what_begins_within_a_page_of_a_file_is_to_begin_there_in_the_guest(device, grants, file) -> None:
    pieces = [Piece(1, 512, 3584), Piece(2, 0, 4096)]
    shown(grants, file, 0, pages(1), 4096)
    for offset in (0, 511, 4096 + 1024):
        assert grants.show(Region(file, offset, 7000), pieces) is None
    piece = grants.show(Region(file, 4096 + 512, 7000), pieces)
    assert grants.copy([Copy(5, True, pieces, piece)]) == [True]
    assert (device.sent[1], device.sent[2]) == (b"\1" * 3584, b"\2" * 3416)


def test_a_file_of_which_a_copy_has_failed_is_read_for_a_while(device, grants, file) -> None:
    pieces = pages(1)
    piece = shown(grants, file, 0, pieces, 4096)
    device.statuses[pieces[0].reference] = -3
    assert grants.copy([Copy(5, True, pieces, piece)]) == [False]
    assert grants.show(piece.region, pieces) is None
    device.statuses.clear()
    assert grants.copy([Copy(5, True, pieces, shown(grants, file, 0, pieces, 4096))]) == [True]


def test_when_it_is_closed_no_file_is_mapped(device, file, tmp_path) -> None:
    grants = DeviceGrants(device)
    piece = shown(grants, file, 0, pages(1), 4096)
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    del piece
    grants.close()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_more_of_a_file_than_goes_into_one_call(device, grants, file) -> None:
    piece = shown(grants, file, 0, pages(1), 4096 * (SEGMENTS + 1))
    assert grants.copy([Copy(5, True, [Piece(1, 0, 1)] * (SEGMENTS + 1), piece)]) == [False]
    assert device.segments == []


def test_of_whole_pages_only_what_is_there_is_copied(device, grants) -> None:
    whole, _ = parse_segments(build_segments(pages(PAGES)))
    assert grants.copy([Copy(5, True, whole, bytes(4096 + 7))]) == [True]
    (segments,) = device.segments
    assert [struct.unpack_from("<H", segment, 16) for segment in segments] == [(4096,), (7,)]
    assert grants.copy([Copy(5, True, whole, bytes(PAGES * 4096 + 1))]) == [False]


def test_everything_goes_where_it_belongs(device, grants) -> None:
    arrived = bytearray(b"....")
    device.memory = b"abcd"
    batch = [
        Copy(1, True, [Piece(1, 0, 2), Piece(2, 0, 1)], b"xyz"),
        Copy(1, False, [Piece(3, 0, 4)], arrived),
        Copy(1, True, [Piece(4, 0, 1)], b"!"),
    ]
    assert grants.copy(batch) == [True] * 3
    assert device.sent == {1: b"xy", 2: b"z", 4: b"!"}
    assert arrived == b"abcd"
    device.statuses = {3: -3}
    arrived[:] = b"...."
    assert grants.copy(batch) == [True, False, True]
    assert arrived == b"....", "it has come only in part"
    device.statuses = {}
    many = [Copy(1, True, [Piece(number, 0, 4096)], bytes((number,)) * 4096) for number in range(1, 100)]
    assert grants.copy(many) == [True] * 99
    assert all(device.sent[number] == bytes((number,)) * 4096 for number in range(1, 100))


def test_a_status_belongs_to_its_copy(device, grants) -> None:
    device.statuses = {2: -3, 6: -256}
    batch = [Copy(1, True, [Piece(2 * n + 1, 0, 1), Piece(2 * n + 2, 0, 1)], b"ab") for n in range(4)]
    assert grants.copy(batch) == [False, True, False, True]
    assert len(device.calls) == 1
    assert grants.calls == 1


def test_when_the_kernel_stops_in_the_middle_each_is_asked_alone(device, grants) -> None:
    device.too_many = 1
    device.statuses = {2: -3}
    batch = [Copy(1, True, [Piece(n, 0, 1)], b"x") for n in range(4)] + [
        Copy(1, True, [Piece(9, 0, 1), Piece(9, 1, 1)], b"xx")
    ]
    assert grants.copy(batch) == [True, True, False, True, False]
    assert [len(call) for call in device.segments] == [6, 1, 1, 1, 1, 2]


def test_what_is_no_copy_is_not_asked_for(device, grants) -> None:
    batch = [
        Copy(1, True, [Piece(1, 4000, 97)], bytes(97)),  # across the end of the page
        Copy(1, True, [Piece(1, -1, 1)], b"x"),
        Copy(1, True, [Piece(1, 0, -1)], b"x"),
        Copy(1, True, [Piece(1, 0, 1)], b"xy"),  # the guest has no room for it
        Copy(1, False, [Piece(1, 0, 1)], b"x"),  # can't be written
        Copy(1, True, [Piece(1, 0, 1)], memoryview(b"xyz")[::2]),
        Copy(1, True, [Piece(1, 0, 1)], memoryview(b"xyz")[1:2]),
        Copy(1, True, [Piece(1, 9, 4000), Piece(2, 0, 0), Piece(3, 4095, 4000)], b"x"),  # shorter than its pieces
    ]
    assert grants.copy(batch) == [False] * 6 + [True, True]
    assert [len(call) for call in device.segments] == [2]


def test_many_pieces_go_in_several_calls(device, grants) -> None:
    limit = SEGMENTS
    pieces = [Piece(number + 1, 0, 1) for number in range(limit // 2 + 1)]
    batch = [Copy(1, True, pieces, bytes(len(pieces))) for _ in range(3)]
    device.statuses = {limit // 2: -3}
    assert grants.copy([*batch, Copy(1, True, [Piece(1, 0, 1)] * (limit + 1), bytes(limit + 1))]) == [False] * 4
    assert [len(call) for call in device.segments] == [len(pieces)] * 3


def test_memory_is_let_go_of(grants) -> None:
    memory = bytearray(4)
    assert grants.copy([Copy(1, False, [Piece(1, 0, 4)], memory)]) == [True]
    memory.clear()  # BufferError while somebody holds it


def test_a_mapping_that_fails_leaves_nothing(device, grants) -> None:
    with pytest.raises(OSError, match="domain 5 grants us no page by reference 77"):
        grants.map(5, 77)
    assert device.calls == [
        (MAP, struct.pack("<IIQII", 1, 0, 0, 5, 77)),
        (UNMAP, struct.pack("<QII", 0, 1, 0)),
    ]


@pytest.mark.asyncio
async def test_event_channels_byte_for_byte(device) -> None:
    channels = DeviceChannels(device, asyncio.get_running_loop())
    told: list[int] = []
    device.returns = 0x31
    one = channels.bind(5, 0x1234, lambda: told.append(1))
    device.returns = 0x32
    other = channels.bind(6, 7, lambda: told.append(2))
    other.notify()
    device.arrive(struct.pack("<III", 0x32, 0x99, 0x31))
    await asyncio.sleep(0.01)
    assert told == [2, 1]
    assert device.written == [struct.pack("<III", 0x32, 0x99, 0x31)], "all are unmasked with one call"
    other.close()
    other.close()
    other.notify()
    device.arrive(struct.pack("<II", 0x32, 0x31))
    await asyncio.sleep(0.01)
    assert told == [2, 1, 1]
    assert device.calls == [
        (BIND, struct.pack("<II", 5, 0x1234)),
        (BIND, struct.pack("<II", 6, 7)),
        (NOTIFY, struct.pack("<I", 0x32)),
        (UNBIND, struct.pack("<I", 0x32)),
    ]
    one.close()
    channels.close()


@pytest.mark.asyncio
async def test_one_who_fails_does_not_keep_others_from_being_told(device) -> None:
    loop = asyncio.get_running_loop()
    problems: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: problems.append(context["exception"]))
    channels = DeviceChannels(device, loop)
    told: list[int] = []
    for port in (1, 2):
        device.returns = port
        channels.bind(5, port, (lambda: 1 // 0) if port == 1 else lambda: told.append(2))
    device.arrive(struct.pack("<II", 1, 2))
    await asyncio.sleep(0.01)
    assert told == [2]
    assert [type(problem) for problem in problems] == [ZeroDivisionError]
    assert device.written == [struct.pack("<II", 1, 2)]
    channels.close()


@pytest.mark.asyncio
async def test_a_channel_that_can_not_be_bound(device) -> None:
    channels = DeviceChannels(device, asyncio.get_running_loop())
    device.fails_with = errno.EINVAL
    with pytest.raises(OSError, match="domain 5 offers us no event channel 8") as info:
        channels.bind(5, 8, lambda: None)
    assert info.value.errno == errno.EINVAL
    channels.close()


@pytest.mark.asyncio
async def test_when_more_came_than_the_kernel_kept_everybody_is_told(device, monkeypatch) -> None:
    channels = DeviceChannels(device, asyncio.get_running_loop())
    told: list[int] = []
    for port in (3, 4):
        device.returns = port
        channels.bind(5, port, lambda port=port: told.append(port))
    reads = [OSError(errno.EFBIG, "overflow")]

    def read(length: int) -> bytes:
        FakeDevice.read(device, length)
        raise reads.pop()

    monkeypatch.setattr(device, "read", read)
    device.arrive(b"any")
    await asyncio.sleep(0.01)
    assert told == [3, 4]
    assert device.calls[-1] == (0x4505, b"")
    assert device.written == [struct.pack("<II", 3, 4)]
    channels.close()
