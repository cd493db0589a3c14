"""What a platform promises of pages that a guest has granted."""

import os
from pathlib import Path

import pytest

from tgtcore import OpenFile, Region
from tgtcore_xen.platform.contract import PAGE_BYTES, Copy, Piece
from tgtcore_xen.platform.testing.rig import NOBODY, Rig
from tgtcore_xen.vscsiif.segments import build_segments, parse_segments

MANY = 20
"""Pieces of room that a test takes at a time."""
OFTEN = 5000
"""Who wants the same piece of a file so often is shown it, if that is possible."""


class GrantPromises:
    """Tests of mappings and copies."""

    def test_a_page_that_is_mapped_is_the_guests_own(self, rig: Rig) -> None:
        """Both sides see what the other has written."""
        page = rig.guest.share(writable=True)
        mapping = rig.platform.grants.map(rig.guest.domid, page.reference)
        assert len(mapping.view) == PAGE_BYTES
        assert not mapping.view.readonly
        mapping.view[:3] = b"abc"
        page.view[-3:] = b"xyz"
        assert bytes(page.view[:3]) == b"abc"
        assert bytes(mapping.view[-3:]) == b"xyz"
        mapping.close()
        mapping.close()
        page.end()

    def test_a_page_can_be_mapped_again(self, rig: Rig) -> None:
        """After the first mapping has ended, and beside it."""
        page = rig.guest.share(writable=True)
        first = rig.platform.grants.map(rig.guest.domid, page.reference)
        second = rig.platform.grants.map(rig.guest.domid, page.reference)
        first.view[0] = 7
        first.close()
        assert second.view[0] == 7
        second.close()
        third = rig.platform.grants.map(rig.guest.domid, page.reference)
        assert third.view[0] == 7
        third.close()
        page.end()

    def test_a_guest_is_woken_when_its_page_is_unmapped(self, rig: Rig) -> None:
        """By the channel that was named, which stays open for as long."""
        told: list[int] = []
        page, far = rig.guest.share(writable=True), rig.guest.listen(lambda: told.append(1))
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: None)
        mapping = rig.platform.grants.map(rig.guest.domid, page.reference)
        mapping.wake_at_end(near)
        rig.settle()
        told.clear()
        mapping.close()
        rig.until(lambda: told == [1], "the guest is woken")
        mapping.close()
        rig.settle()
        assert told == [1]
        near.close()
        far.close()
        page.end()

    def test_what_can_not_be_mapped(self, rig: Rig) -> None:
        """No grant, no guest, and a page that may not be written."""
        grants, domid = rig.platform.grants, rig.guest.domid
        read_only = rig.guest.share(writable=False)
        for number, reference in ((domid, 0xFFFF_FFF0), (NOBODY, 8), (domid, read_only.reference)):
            with pytest.raises(OSError, match="Errno"):
                grants.map(number, reference)
        read_only.end()

    @pytest.mark.parametrize(("offset", "length"), [(0, 4096), (0, 1), (4095, 1), (7, 512), (512, 3584), (0, 0)])
    def test_copies_both_ways(self, rig: Rig, offset: int, length: int) -> None:
        """Every byte, and nothing beside them."""
        page = rig.guest.share(writable=True)
        data = bytes(byte % 251 + 1 for byte in range(length))
        assert rig.copy(page.reference, data, to_guest=True, offset=offset)
        assert bytes(page.view) == bytes(offset) + data + bytes(PAGE_BYTES - offset - length)
        into = bytearray(length + 2)
        assert rig.copy(page.reference, memoryview(into)[1:-1], to_guest=False, offset=offset)
        assert bytes(into) == b"\0" + data + b"\0"
        page.end()

    def test_a_copy_of_many_pieces(self, rig: Rig) -> None:
        """In their order; memory that is shorter is the end of it."""
        pages = [rig.guest.share(writable=True) for _ in range(3)]
        pieces = [Piece(page.reference, 100 * number, 1000 + number) for number, page in enumerate(pages)]
        data = bytes(byte % 253 for byte in range(2500))
        domid, grants = rig.guest.domid, rig.platform.grants
        assert grants.copy([Copy(domid, True, pieces, data)]) == [True]
        found = [bytes(page.view[100 * n : 100 * n + 1000 + n]) for n, page in enumerate(pages)]
        assert b"".join(found)[:2500] == data
        assert not any(found[2][499:])
        into = bytearray(2500)
        assert grants.copy([Copy(domid, False, pieces, memoryview(into))]) == [True]
        assert into == data
        for page in pages:
            page.end()

    def test_a_batch_in_which_some_fail(self, rig: Rig) -> None:
        """Each says for itself whether it was done."""
        domid, grants = rig.guest.domid, rig.platform.grants
        good, read_only = rig.guest.share(writable=True), rig.guest.share(writable=False)
        read_only.view[:4] = b"look"
        into = [bytearray(4) for _ in range(2)]
        unknown = 0xFFFF_FFF0
        batch = [
            Copy(domid, True, [Piece(good.reference, 0, 4)], b"good"),
            Copy(domid, True, [Piece(unknown, 0, 4)], b"lost"),
            Copy(domid, True, [Piece(read_only.reference, 0, 4)], b"lost"),
            Copy(domid, False, [Piece(read_only.reference, 0, 4)], memoryview(into[0])),
            Copy(NOBODY, False, [Piece(good.reference, 0, 4)], memoryview(bytearray(4))),
            Copy(domid, True, [Piece(good.reference, 8, 2), Piece(unknown, 0, 2)], b"half"),
            Copy(domid, False, [Piece(good.reference, 0, 4)], memoryview(into[1])),
        ]
        assert grants.copy(batch) == [True, False, False, True, False, False, True]
        assert [bytes(one) for one in into] == [b"look", b"good"]
        assert bytes(read_only.view[:4]) == b"look"
        good.end()
        read_only.end()

    def test_a_batch_that_is_long(self, rig: Rig) -> None:
        """Or has nothing in it."""
        domid, grants = rig.guest.domid, rig.platform.grants
        page = rig.guest.share(writable=True)
        batch = [
            Copy(
                domid,
                True,
                [Piece(page.reference, 4 * n, 2), Piece(page.reference, 4 * n + 2, 2)],
                n.to_bytes(4, "big"),
            )
            for n in range(1000)
        ]
        assert grants.copy(batch) == [True] * 1000
        assert bytes(page.view[:4000]) == b"".join(n.to_bytes(4, "big") for n in range(1000))
        assert grants.copy([]) == []
        assert grants.copy([Copy(domid, True, [], b"")]) == [True]
        page.end()

    def test_copies_from_room_that_was_lent(self, rig: Rig) -> None:
        """What stands there arrives, beside other memory; it is nobody else's until that is done, and then it can be had again."""
        domid, grants = rig.guest.domid, rig.platform.grants
        for turn in range(3):
            lent: list[memoryview] = []
            batch, shared, expected = [], [], []
            while (room := grants.room(3000)) is not None and len(lent) < MANY:
                lent.append(room)
            for number in range(max(len(lent), 5)):
                memory = lent[number] if number < len(lent) else memoryview(bytearray(3000))
                assert len(memory) == 3000
                memory[:] = data = number.to_bytes(2, "big") * 1499 + bytes((turn, 255))
                page = rig.guest.share(writable=True)
                shared.append(page)
                pieces = [Piece(page.reference, 4096 - 1001, 1001), Piece(page.reference, 0, 1999)]
                batch += [
                    Copy(domid, True, pieces, memory),
                    Copy(domid, True, [Piece(page.reference, 2500, 4)], b"more"),
                ]
                expected.append((data[1001:], data[:1001]))
            unknown = Copy(domid, True, [Piece(0xFFFF_FFF0, 0, 4)], b"lost")
            assert grants.copy([unknown, *batch]) == [False] + [True] * len(batch)
            for page, (beginning, end) in zip(shared, expected, strict=True):
                assert bytes(page.view[:1999]) == beginning
                assert bytes(page.view[2500:2504]) == b"more"
                assert bytes(page.view[-1001:]) == end
                page.end()

    def test_copies_from_where_the_kernel_has_a_file(self, rig: Rig, tmp_path: Path) -> None:
        """What it shows of a file arrives without being read, beside other memory; it may be shown only when asked for often."""
        domid, grants = rig.guest.domid, rig.platform.grants
        data = b"".join(number.to_bytes(4, "big") for number in range(4 * PAGE_BYTES)) + b"the end"
        (path := tmp_path / "file").write_bytes(data)
        file = OpenFile(os.open(path, os.O_RDONLY))
        pages = [rig.guest.share(writable=True) for _ in range(4)]
        whole = [Piece(page.reference, 0, PAGE_BYTES) for page in pages]
        parts = [Piece(pages[0].reference, 96, 4000), Piece(pages[1].reference, 0, 3000)]
        for offset, length, pieces in (
            (0, 4 * PAGE_BYTES, whole),
            (PAGE_BYTES, 2 * PAGE_BYTES + 7, whole),
            (PAGE_BYTES, 2 * PAGE_BYTES, parse_segments(build_segments(whole[:2]))[0]),
            (3 * PAGE_BYTES + 96, 7000, parts),
            (15 * PAGE_BYTES, PAGE_BYTES + 7, whole),
        ):
            region = Region(file, offset, length)
            shown = [one for _ in range(OFTEN) if (one := grants.show(region, pieces)) is not None]
            unknown = Copy(domid, True, [Piece(0xFFFF_FFF0, 0, PAGE_BYTES)], b"lost")
            for piece in shown[-2:]:
                for page in pages:
                    page.view[:] = bytes(PAGE_BYTES)
                assert grants.copy([unknown, Copy(domid, True, pieces, piece)]) == [False, True]
                found = b"".join(bytes(page.view) for page in pages)
                first = pieces[0][1]
                assert found[first:][:length] == data[offset:][:length]
                assert not any(found[:first] + found[first + length :])
        for page in pages:
            page.end()

    @pytest.mark.parametrize("left", [0, 1, PAGE_BYTES - 1])
    def test_a_file_that_has_become_shorter(self, rig: Rig, tmp_path: Path, left: int) -> None:
        """What is no longer there is not copied, and that is no trouble to others."""
        domid, grants = rig.guest.domid, rig.platform.grants
        (path := tmp_path / "file").write_bytes(b"x" * (4 * PAGE_BYTES))
        file = OpenFile(os.open(path, os.O_RDONLY))
        page = rig.guest.share(writable=True)
        pieces = [Piece(page.reference, 0, PAGE_BYTES)]
        regions = [Region(file, number * PAGE_BYTES, PAGE_BYTES) for number in (0, 3)]
        for _ in range(OFTEN):
            there, gone = (grants.show(region, pieces) for region in regions)
        os.truncate(path, 3 * PAGE_BYTES + left)
        if there is not None and gone is not None:
            last = Copy(domid, True, [Piece(page.reference, 0, 4)], b"last")
            batch = [Copy(domid, True, pieces, shown) for shown in (there, gone, there)]
            assert grants.copy([*batch, last]) == [True, False, True, True]
            assert bytes(page.view) == b"last" + b"x" * (PAGE_BYTES - 4)
            assert grants.copy([Copy(domid, True, pieces, gone)]) == [False]
        page.end()

    def test_room_that_is_too_long(self, rig: Rig) -> None:
        """There is none."""
        assert rig.platform.grants.room(1 << 40) is None
