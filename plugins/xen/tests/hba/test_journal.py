"""The journal by itself: what another back end finds in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tgtcore_xen.hba.journal import Journal, Left
from tgtcore_xen.vscsiif.errors import RingBroken
from tgtcore_xen.vscsiif.layout import INDEX_MASK, SLOT_BYTES, SLOTS

OWNER = "web1/0, ring 8, channel 3"


def slot(number: int) -> bytes:
    return bytes((number,)) * SLOT_BYTES


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal.new(tmp_path / "journal", OWNER)
    assert made.begin(0) == Left(0, [])
    return made


def take(journal: Journal, slot: bytes) -> int:
    """The entry of a request that was taken alone."""
    ((entry, found),) = journal.take([slot])
    assert found == slot
    return entry


def again(journal: Journal, published: int) -> Left:
    """What is left when the process dies now."""
    found = Journal.found(journal.path, OWNER)
    assert found is not None
    return found.begin(published)


def test_only_its_owner_may_read_it(journal: Journal) -> None:
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.stat().st_blocks * 512 >= 8192, "a store might find the disk full"
    assert [path.name for path in journal.path.parent.iterdir()] == ["journal"]


@pytest.mark.parametrize("index", [0, 7, INDEX_MASK, INDEX_MASK - 3])
def test_what_was_taken_and_not_answered(tmp_path: Path, index: int) -> None:
    journal = Journal.new(tmp_path / "journal", OWNER)
    journal.begin(index)
    entries = [take(journal, slot(number)) for number in range(5)]
    assert again(journal, index) == Left(0, [(entry, slot(entry)) for entry in entries])
    journal.put([entries[3]])
    journal.put([entries[1]])
    left = [(entries[number], slot(number)) for number in (0, 2, 4)]
    assert again(journal, index) == Left(2, left)
    assert again(journal, (index + 2) & INDEX_MASK) == Left(0, left), "it was killed right behind rsp_prod"
    journal.published()
    more = take(journal, slot(9))
    assert again(journal, (index + 2) & INDEX_MASK) == Left(0, [*left, (more, slot(9))])
    journal.close()


def test_it_goes_round(journal: Journal) -> None:
    """Entries are used in turn, and what is old says nothing."""
    for number in range(0, 200, 8):
        entries = [take(journal, slot((number + one) % 256)) for one in range(8)]
        for entry in reversed(entries):
            journal.put([entry])
        assert again(journal, number) == Left(8, [])
        journal.published()
        assert again(journal, number + 8) == Left(0, [])
    journal.close()


def test_all_entries(journal: Journal) -> None:
    for number in range(SLOTS):
        take(journal, slot(number))
    assert [made for _, made in again(journal, 0).requests] == [slot(number) for number in range(SLOTS)]


def test_another_goes_on(journal: Journal) -> None:
    entries = [take(journal, slot(number)) for number in range(4)]
    journal.put([entries[2]])
    journal.close()
    second = Journal.found(journal.path, OWNER)
    assert second is not None
    left = second.begin(0)
    assert left.put == 1
    second.published()
    for number in range(4, 16):
        entry = take(second, slot(number))
        assert entry not in [entry for entry, _ in left.requests], "it is in use"
    second.put([left.requests[0][0]])
    found = again(second, 1)
    assert (found.put, [made[0] for _, made in found.requests]) == (1, [1, 3, *range(4, 16)])


@pytest.mark.parametrize("owner", ["web1/0, ring 9, channel 3", "", OWNER + "1"])
def test_the_journal_of_another_ring(journal: Journal, owner: str) -> None:
    take(journal, slot(1))
    assert Journal.found(journal.path, owner) is None
    assert Journal.found(journal.path.with_name("other"), OWNER) is None


def test_the_journal_of_another_run_of_the_machine(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "boot_id"
    other.write_text("2f0c1b1e-0000-4000-8000-000000000000\n")
    monkeypatch.setattr("tgtcore_xen.hba.journal._BOOT_ID", other)
    assert Journal.found(journal.path, OWNER) is None


@pytest.mark.parametrize("spoil", [lambda fd: os.ftruncate(fd, 4096), lambda fd: os.pwrite(fd, b"?", 3)])
def test_what_is_no_journal(journal: Journal, spoil: Callable[[int], object]) -> None:
    with journal.path.open("r+b") as file:
        spoil(file.fileno())
    assert Journal.found(journal.path, OWNER) is None


def test_a_link_is_not_followed(journal: Journal) -> None:
    link = journal.path.with_name("link")
    link.symlink_to(journal.path)
    with pytest.raises(OSError, match="symbolic links"):
        Journal.found(link, OWNER)


def test_a_new_one_takes_the_place_of_the_old_one(journal: Journal) -> None:
    take(journal, slot(1))
    journal.path.with_name("journal.new").write_bytes(b"left by one that was killed")
    new = Journal.new(journal.path, OWNER)
    assert Journal.found(journal.path, OWNER) is None, "it does not count yet"
    new.begin(0)
    assert again(new, 0) == Left(0, [])
    take(journal, slot(2))  # of the old one, which has no name any more
    assert again(new, 0) == Left(0, [])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal.new(tmp_path / "none" / "journal", OWNER)


def test_it_is_removed(journal: Journal) -> None:
    journal.close()
    journal.remove()
    journal.remove()
    assert Journal.found(journal.path, OWNER) is None


def test_a_guest_that_has_changed_its_index(journal: Journal) -> None:
    for number in range(4):
        journal.put([take(journal, slot(number))])
    with pytest.raises(RingBroken, match="that 4294967295 responses were published, the journal that there are others"):
        again(journal, INDEX_MASK)
