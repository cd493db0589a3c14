"""What deleted snapshots had: given back in steps, between which others use the image."""

import threading
from random import Random

import pytest
from tgtcore_cow.qcow2 import leftovers
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.switch import Switch

from tgtcore.testing.ram import RamStore

CLUSTER = 512
SIZE = 400 * CLUSTER
WAIT_S = 30


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "ENTRIES_AT_ONCE", 20)


def made() -> tuple[RamStore, Image, bytes]:
    """An image with a snapshot of a full disk, half of which was written since; and what the disk holds."""
    file = RamStore(0)
    create(file, CreateOptions(SIZE, cluster_bytes=CLUSTER))
    image = Image(file)
    image.write(0, b"a" * SIZE)
    image.create_snapshot("one")
    image.write(0, b"b" * (SIZE // 2))
    image.flush()
    return file, image, b"b" * (SIZE // 2) + b"a" * (SIZE // 2)


def interrupted(monkeypatch: pytest.MonkeyPatch, number: int, act: object) -> None:
    """Do something before the switch of a number, counted from 0."""
    carry_out, count = Switch.carry_out, iter(range(1 << 30))

    def carried_out(self: Switch, **changes: object) -> None:
        if next(count) == number:
            act()  # type: ignore[operator]
        carry_out(self, **changes)

    monkeypatch.setattr(Switch, "carry_out", carried_out)


def test_all_of_it_is_given_back_and_the_disk_has_the_rest_alone() -> None:
    file, image, content = made()
    image.delete_snapshot("one")
    assert check(file).clean
    assert bytes(image.read(0, SIZE)) == content
    image.close()
    assert check(file).clean


def test_a_crash_on_the_way_costs_only_space(monkeypatch: pytest.MonkeyPatch) -> None:
    file, image, content = made()
    left: list[bytes] = []
    interrupted(monkeypatch, 3, lambda: left.append(bytes(file.content)))
    image.delete_snapshot("one")
    crashed = RamStore(0)
    crashed.resize(len(left[0]))
    crashed.write(0, left[0])
    report = check(crashed)
    assert not report.errors
    assert report.leaks
    again = Image(crashed)
    assert again.snapshots == ()
    assert bytes(again.read(0, SIZE)) == content


def test_what_the_disk_had_before_it_went_back_is_given_back_by_the_next_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    file, image, _ = made()
    image.write(0, b"c" * (SIZE // 2))
    steps: list[int] = []
    drop = leftovers.Leftovers.drop
    monkeypatch.setattr(
        leftovers.Leftovers, "drop", lambda self, switch, step: steps.append(1) or drop(self, switch, step)
    )
    image.revert_snapshot("one")
    assert steps == [], "nobody waits for that while everybody waits for the disk"
    report = check(file)
    assert not report.errors
    assert report.leak_count >= SIZE // 2 // CLUSTER
    image.flush()
    assert len(steps) > 3
    assert check(file).clean
    assert b"c" * CLUSTER not in file.content, "it is a hole now"
    assert bytes(image.read(0, SIZE)) == b"a" * SIZE


def test_a_snapshot_can_be_deleted_while_the_former_disk_is_left() -> None:
    file, image, content = made()
    image.create_snapshot("two")
    image.write(SIZE // 4, b"c" * (SIZE // 2))
    image.revert_snapshot("two")
    image.delete_snapshot("one")
    image.delete_snapshot("two")
    image.flush()
    assert check(file).clean
    assert bytes(image.read(0, SIZE)) == content


def test_where_counts_are_at_their_end_the_former_disk_goes_at_once() -> None:
    file = RamStore(0)
    create(file, CreateOptions(SIZE, cluster_bytes=CLUSTER, refcount_bits=2))
    image = Image(file)
    image.write(0, b"a" * SIZE)
    image.create_snapshot("one")
    image.create_snapshot("two")
    image.write(0, b"b" * CLUSTER)
    image.revert_snapshot("one")
    assert bytes(image.read(0, SIZE)) == b"a" * SIZE
    image.close()
    assert check(file).clean


def test_others_write_meanwhile() -> None:
    file, image, content = made()
    chance = Random(3)
    model = bytearray(content)
    deleting = threading.Thread(target=image.delete_snapshot, args=("one",))
    deleting.start()
    for _ in range(300):
        at, data = chance.randrange(SIZE - 2000), chance.randbytes(chance.randrange(1, 2000))
        image.write(at, data)
        model[at : at + len(data)] = data
    deleting.join(WAIT_S)
    assert not deleting.is_alive()
    assert bytes(image.read(0, SIZE)) == model
    image.flush()
    assert check(file).clean


def test_what_finds_no_room_is_given_back_by_a_later_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    file, image, content = made()

    def no_room() -> None:
        raise OSError(28, "No space left on device")

    interrupted(monkeypatch, 2, no_room)
    image.delete_snapshot("one")
    assert image.snapshots == ()
    assert check(file).leaks
    image.flush()
    assert check(file).clean
    assert bytes(image.read(0, SIZE)) == content


def test_what_only_the_disk_had_in_common_with_it_is_written_in_place_again() -> None:
    file, image, _ = made()
    image.revert_snapshot("one")
    image.delete_snapshot("one")
    image.flush()
    before = file.size_bytes, check(file).image_end_offset
    image.write(0, b"c" * SIZE)
    image.flush()
    report = check(file)
    assert report.clean
    assert (file.size_bytes, report.image_end_offset) == before
    assert bytes(image.read(0, SIZE)) == b"c" * SIZE


def test_a_table_that_can_not_be_costs_its_space_only() -> None:
    file, image, content = made()
    l1 = image.snapshots[0].l1_offset
    file.write(l1 + 8 * 5, (1 << 40).to_bytes(8, "big"))
    with pytest.raises(Corrupt, match="an L2 table is at"):
        image.delete_snapshot("one")
    image.flush()
    assert read_header(file).snapshots == 0
    assert not check(file).errors
    assert bytes(image.read(0, SIZE)) == content
