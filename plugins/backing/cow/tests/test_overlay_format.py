"""The format ``overlay`` by the conformance kit of layers, its limit, and how it is reset."""

import errno
import os
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_cow.options import OverlayOptions
from tgtcore_cow.overlay import scratch
from tgtcore_cow.overlay_format import Overlay

from tgtcore import Aftermath, NoOptions, Space, Store, StoreError
from tgtcore.testing.layer import LayerConformance, WatchedBase
from tgtcore.testing.ram import RamStore
from tgtcore.testing.store_model import pattern

BLOCK = 4096


class OverlayConformance(LayerConformance):
    writes_base = False
    data = "memory"

    def initial(self, size_bytes: int) -> bytes:
        return pattern(0, size_bytes)

    def make_layer(self, base: Store) -> Store:
        assert isinstance(base, WatchedBase)
        base.content[:] = pattern(0, base.size_bytes)
        return Overlay(base, OverlayOptions(data=self.data))  # type: ignore[arg-type]


class TestInMemory(OverlayConformance):
    pass


class TestInAFile(OverlayConformance):
    data = "file"
    examples = 20


class TestOddSize(OverlayConformance):
    base_bytes = (1 << 20) + 512
    examples = 20


class TestLargeBlocks(OverlayConformance):
    examples = 10

    def make_layer(self, base: Store) -> Store:
        base.block_bytes = 8192
        return super().make_layer(base)


@pytest.fixture
def base() -> RamStore:
    store = RamStore(1 << 20)
    store.content[:] = pattern(0, store.size_bytes)
    return store


def overlay(base: Store, **keys: Any) -> Overlay:
    return Overlay(base, OverlayOptions(**{"data": "memory", **keys}))


def test_a_reset_gives_back_what_it_took(base: RamStore) -> None:
    one = overlay(base)
    read = one.read  # as an open store keeps it
    one.write(100, b"x" * 10000)
    one.unmap(5 * BLOCK, BLOCK)
    used = one.used_bytes
    assert used == 3 * BLOCK
    assert one.reset(NoOptions()) == {"forgotten_bytes": used}
    assert bytes(read(0, base.size_bytes)) == base.content
    assert one.figures() == {"used_bytes": 0, "limit_bytes": 1 << 20, "resets": 1}


@pytest.mark.parametrize("threads", [True, False])
def test_a_reset_does_not_wait_for_space_to_be_given_back(
    base: RamStore, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    one = overlay(base)
    file = weakref.ref(one._scratch)
    started: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        if not threads:
            raise RuntimeError("can't start new thread")
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    one.reset(NoOptions())
    assert (file() is None) is not threads
    for thread in started:
        thread.run()
    assert file() is None


def test_what_was_being_sent_outlives_a_reset(base: RamStore) -> None:
    one = overlay(base)
    one.write(0, b"x" * 65536)
    region = one.region(0, 65536)
    assert region is not None
    one.reset(NoOptions())
    one.close()
    assert os.pread(region.fd, len(region), region.offset) == b"x" * 65536


def test_what_is_closed_takes_no_space_although_somebody_refers_to_it(
    base: RamStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)
    one = overlay(base, data="file", folder=tmp_path)
    one.write(0, b"x" * 9000)
    fd = one._scratch._file.fd
    one.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert one.figures()["used_bytes"] == 0


def test_a_reset_is_an_action_that_initiators_hear_of() -> None:
    action = Overlay.actions["reset"]
    assert action.pauses
    assert action.after is Aftermath.MEDIUM_CHANGED


def test_a_reset_that_fails_changes_nothing(base: RamStore, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    one = overlay(base, data="file", folder=folder)
    one.write(0, b"mine")
    folder.rmdir()
    with pytest.raises(StoreError, match=r"a temporary file of 1048576 bytes can't be made in .*/folder: No such file"):
        one.reset(NoOptions())
    assert bytes(one.read(0, 4)) == b"mine"


def test_the_file_has_no_name(base: RamStore, tmp_path: Path) -> None:
    one = overlay(base, data="file", folder=tmp_path)
    one.write(0, b"secret")
    assert list(tmp_path.iterdir()) == []


class TestLimit:
    def test_a_write_beyond_it_fails_and_changes_nothing(self, base: RamStore) -> None:
        one = overlay(base, limit=4 * BLOCK)
        one.write(0, b"x" * 3 * BLOCK)
        for write in (one.write, one.write_nowait, one.write_through):
            with pytest.raises(OSError, match="the overlay has reached its limit of 16384 bytes") as caught:
                write(2 * BLOCK, b"y" * 3 * BLOCK)
            assert caught.value.errno == errno.ENOSPC
        assert bytes(one.read(0, 5 * BLOCK)) == b"x" * 3 * BLOCK + base.content[3 * BLOCK : 5 * BLOCK]

    def test_what_is_there_can_be_written_again(self, base: RamStore) -> None:
        one = overlay(base, limit=2 * BLOCK)
        one.write(0, b"x" * 2 * BLOCK)
        one.write(100, b"y" * BLOCK)
        assert one.used_bytes == 2 * BLOCK

    def test_space_that_is_given_back_can_be_used(self, base: RamStore) -> None:
        one = overlay(base, limit=2 * BLOCK)
        one.write(0, b"x" * 2 * BLOCK)
        one.unmap(0, BLOCK)
        one.write(8 * BLOCK, b"z")
        assert one.used_bytes == 2 * BLOCK
        assert bytes(one.read(8 * BLOCK, 3)) == b"z" + base.content[8 * BLOCK + 1 : 8 * BLOCK + 3]

    def test_zeroes_that_keep_their_space_count(self, base: RamStore) -> None:
        one = overlay(base, limit=4 * BLOCK)
        one.write_zeroes(0, 3 * BLOCK)
        with pytest.raises(OSError, match="limit"):
            one.write_zeroes(2 * BLOCK, 4 * BLOCK)
        assert one.used_bytes == 3 * BLOCK

    def test_without_one_all_of_the_disk_fits(self) -> None:
        one = overlay(RamStore((1 << 20) + 512))
        one.write(0, b"x" * one.size_bytes)
        assert one.used_bytes == one.limit_bytes == (1 << 20) + BLOCK

    def test_the_limit_counts_no_more_than_the_file_takes(self, base: RamStore, tmp_path: Path) -> None:
        one = overlay(base, data="file", folder=tmp_path)
        one.write(3 * BLOCK + 7, b"x")
        one.write_zeroes(64 * BLOCK, BLOCK)
        one.unmap(0, 8 * BLOCK)
        region = one._scratch._file
        os.fsync(region.fd)
        assert os.fstat(region.fd).st_blocks * 512 <= one.used_bytes == BLOCK


class TestSize:
    def test_what_is_beyond_the_base_reads_as_zeroes(self) -> None:
        base = RamStore(3 * BLOCK + 512)
        base.content[:] = pattern(0, base.size_bytes)
        one = overlay(base)
        one.resize(6 * BLOCK)
        assert bytes(one.read(0, 6 * BLOCK)) == base.content + bytes(6 * BLOCK - base.size_bytes)
        assert [tuple(extent) for extent in one.extents(4 * BLOCK, 2 * BLOCK)] == [(4 * BLOCK, 2 * BLOCK, False)]
        one.write(6 * BLOCK - 3, b"end")
        assert bytes(one.read(5 * BLOCK, BLOCK)) == bytes(BLOCK - 3) + b"end"
        assert (one.used_bytes, one.limit_bytes) == (2 * BLOCK, 6 * BLOCK)

    def test_what_was_cut_off_does_not_come_back(self, base: RamStore) -> None:
        one = overlay(base)
        one.write(2 * BLOCK, b"x" * BLOCK)
        one.resize(BLOCK + 512)
        one.resize(4 * BLOCK)
        assert bytes(one.read(0, 4 * BLOCK)) == base.content[: BLOCK + 512] + bytes(3 * BLOCK - 512)
        assert one.used_bytes == BLOCK

    def test_a_reset_makes_it_as_long_as_the_base(self, base: RamStore) -> None:
        one = overlay(base)
        one.resize(2 << 20)
        one.reset(NoOptions())
        assert bytes(one.read(0, one.size_bytes)) == base.content

    def test_there_are_no_more_blocks_than_the_map_may_have(self, base: RamStore) -> None:
        one = overlay(base)
        one.resize(1 << 21)
        with pytest.raises(StoreError, match=r"can't have 274877906945 bytes; expected at most 274877906944, which is"):
            one.resize((1 << 38) + 1)
        assert one.size_bytes == 1 << 21

    def test_a_limit_stays(self, base: RamStore) -> None:
        one = overlay(base, limit=2 * BLOCK)
        one.resize(2 << 20)
        assert one.limit_bytes == 2 * BLOCK

    def test_it_is_what_another_base_is(self, base: RamStore) -> None:
        one = overlay(base)
        one.write(0, b"mine")
        base.resize(2 * BLOCK)
        base.content[:] = b"y" * base.size_bytes
        one.base_changed()
        assert bytes(one.read(0, one.size_bytes)) == b"y" * 2 * BLOCK


class TestSpace:
    def test_what_is_left_of_the_limit_is_told(self, base: RamStore) -> None:
        one = overlay(base, limit=10 * BLOCK)
        one.write(0, b"x")
        assert one.space() == Space(BLOCK, 9 * BLOCK, shared=False)

    def test_in_a_folder_there_may_be_less(
        self, base: RamStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = overlay(base, limit=10 * BLOCK, data="file", folder=tmp_path)
        assert one.space() == Space(0, 10 * BLOCK, shared=False)
        monkeypatch.setattr(scratch, "file_space", lambda fd: Space(0, BLOCK, shared=True))
        assert one.space() == Space(0, BLOCK, shared=True)


class TestLogout:
    """Who has logged out, and who is left."""

    def asked(self, base: Store, reset: str, *, logged_out: bool, others: int = 0) -> list[str]:
        requests: list[str] = []
        one = overlay(base, reset=reset)
        lu = SimpleNamespace(itls=dict.fromkeys(range(others)))
        one.place = SimpleNamespace(lu=lu, request=requests.append)  # type: ignore[assignment]
        nexus: Any = SimpleNamespace(logged_out=logged_out)
        one.nexus_lost(nexus)
        return requests

    def test_the_last_one_resets_it(self, base: RamStore) -> None:
        assert self.asked(base, "logout", logged_out=True) == ["reset"]

    def test_others_may_be_using_it(self, base: RamStore) -> None:
        assert self.asked(base, "logout", logged_out=True, others=1) == []

    def test_one_that_was_lost_may_come_back(self, base: RamStore) -> None:
        assert self.asked(base, "logout", logged_out=False) == []

    def test_it_has_to_be_wanted(self, base: RamStore) -> None:
        assert self.asked(base, "never", logged_out=True) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"data": "memory", "folder": "/"}, 'folder only counts for data = "file"'),
        ({"folder": "/no/such/folder"}, "Path does not point to a directory"),
        ({"reset": "always"}, "Input should be 'never' or 'logout'"),
        ({"limit": 0}, "greater than 0"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OverlayOptions(**keys)
