"""What a back end that takes the place of one that died has to know: the requests that were taken and not answered.

Responses lie in the ring where requests were, so the ring alone does not tell.  The journal is a small file that is mapped: what a
process has stored there is there after it was killed, up to the last store.  It tells nothing after the machine went down, and then
the guest is gone too.

It has sixteen entries, as many as a ring has slots: a copy of the request each, and a word of 64 bits, which is stored at once.
The word is one of

* 0: the entry was never used;
* TAKEN with the index of the request in the ring: it was taken, and no response for it is in the ring;
* PUT with an index of the ring: the response is there.  Once ``rsp_prod`` is beyond that, the response is published and the entry
  is free; so the one store of ``rsp_prod`` publishes responses and frees their entries.

The order of stores, any of which may be the last one; where many bytes are copied, a part of them may be:

1. The request is copied into a free entry.  Its word still says that it is free, so nobody reads that.
2. The word is TAKEN.  From here on the request counts as taken.  Requests are taken in order, so how many there are says which
   comes next in the ring.  The command is performed behind this: killed there, it is performed again if that does no harm, and
   else the guest is told that what has become of it is not known.
3. The response is copied into the ring, over a request that was taken, since there are never more responses than requests were
   taken; its data was delivered before.  The guest does not look at it yet, and it still counts as not answered.
4. The word is PUT: the response is whole, and who comes next need only publish it.  This follows the order of 3, so what was put
   and not published begins at ``rsp_prod`` and has no gap; of several responses all are copied first.
5. ``rsp_prod`` is stored, then the guest is notified; who takes up a ring notifies in any case.

A journal that is new counts once its head is whole, which is stored last: behind entries for requests that an earlier back end has
taken without one, of which nothing is known but that they are lost.
"""

import mmap
import os
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tgtcore_xen.hba.lost import LOST
from tgtcore_xen.vscsiif.errors import RingBroken
from tgtcore_xen.vscsiif.layout import INDEX_MASK, SLOT_BYTES, SLOTS

_TAKEN, _PUT = 1, 2
_INDEX_SHIFT = 32
_STATE_MASK = (1 << _INDEX_SHIFT) - 1

_MAGIC = b"tgtxenj1"
_HEAD = struct.Struct("<8sH")
_OWNER_BYTES_MAX = 1024
_WORDS_AT = 2048
_SLOTS_AT = _WORDS_AT + SLOTS * 8
_FILE_BYTES = 8192
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Left(NamedTuple):
    """What another back end has left.

    :param put: how many responses are in the ring and have to be published.
    :param requests: those that are not answered, oldest first: the entry of each, and its slot.
    """

    put: int
    requests: list[tuple[int, bytes]]


class Journal:
    """The journal of one connection.

    It belongs to one ring of one guest, as ``owner`` names it, and to this run of the machine: what is found for another one says
    nothing about this one.

    :param fd: of the file; closed with the journal.
    :param head: what makes it count, if it is new.
    """

    def __init__(self, path: Path, fd: int, head: bytes = b"") -> None:
        self.path = path
        self._new_head = head
        try:
            self._map = mmap.mmap(fd, _FILE_BYTES)
        finally:
            os.close(fd)
        view = memoryview(self._map)
        self._words = view[_WORDS_AT:_SLOTS_AT].cast("Q")
        self._slots = [
            view[at : at + SLOT_BYTES] for at in range(_SLOTS_AT, _SLOTS_AT + SLOTS * SLOT_BYTES, SLOT_BYTES)
        ]
        view.release()
        self._free: deque[int] = deque(range(SLOTS))
        self._put: list[int] = []
        """Entries whose responses are in the ring and not published."""
        self._next_taken = 0
        self._next_put = 0

    @classmethod
    def new(cls, path: Path, owner: str) -> "Journal":
        """An empty one, in the place of what is there; it does not count before :meth:`begin`.

        :raises OSError: it can't be made.
        """
        beside = path.with_name(path.name + ".new")
        with suppress(FileNotFoundError):
            beside.unlink()
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _FILE_BYTES)  # a store must not find the disk full
            head = _head(owner)
            beside.rename(path)
        except BaseException:
            os.close(fd)
            with suppress(FileNotFoundError):
                beside.unlink()
            raise
        return cls(path, fd, head)

    @classmethod
    def found(cls, path: Path, owner: str) -> "Journal | None":
        """The one that another back end has left for the same ring; None: there is none.

        :raises OSError: it can't be opened.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        head = _head(owner)
        if os.fstat(fd).st_size != _FILE_BYTES or os.pread(fd, len(head), 0) != head:
            os.close(fd)
            return None
        return cls(path, fd)

    # ---- at work ------------------------------------------------------------------------------------------------------

    def take(self, slots: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Note the next requests of the ring, before anything is done for them; the entry of each, and its slot."""
        free, copies, words, index = self._free, self._slots, self._words, self._next_taken
        taken = []
        for slot in slots:
            entry = free.popleft()
            copies[entry][:] = slot
            words[entry] = index << _INDEX_SHIFT | _TAKEN
            index = (index + 1) & INDEX_MASK
            taken.append((entry, slot))
        self._next_taken = index
        return taken

    def put(self, entries: Sequence[int]) -> None:
        """Note that the next responses in the ring, which are there, are those of entries."""
        words, index = self._words, self._next_put
        for entry in entries:
            words[entry] = index << _INDEX_SHIFT | _PUT
            index = (index + 1) & INDEX_MASK
        self._next_put = index
        self._put += entries

    def published(self) -> None:
        """All responses that were put are published."""
        self._free.extend(self._put)
        self._put.clear()

    # ---- taking the place of another back end -----------------------------------------------------------------------------

    def begin(self, published: int, lost: int = 0) -> Left:
        """Begin to work; what another back end has left.

        :param published: ``rsp_prod`` of the ring.
        :param lost: how many requests were taken without this journal, if it is new.
        :raises RingBroken: that can't be.
        """
        if self._new_head:
            self._next_put = self._next_taken = published
            requests = self.take([LOST] * lost)
            self._map[: len(self._new_head)] = self._new_head
            self._new_head = b""
            return Left(0, requests)
        taken, put = [], {}
        for entry, state, index in self._entries():
            if state == _TAKEN:
                taken.append((entry, index))
            elif state == _PUT and (index - published) & INDEX_MASK < SLOTS:
                put[(index - published) & INDEX_MASK] = entry
        if sorted(put) != list(range(len(put))):
            raise RingBroken(
                f"the ring says that {published} responses were published, the journal that there are "
                f"others beyond that at {', '.join(map(str, sorted(put)))}"
            )
        self._next_put = (published + len(put)) & INDEX_MASK
        self._next_taken = next_taken = (self._next_put + len(taken)) & INDEX_MASK
        self._put = [put[at] for at in range(len(put))]
        used = {*self._put, *(entry for entry, _ in taken)}
        self._free = deque(entry for entry in range(SLOTS) if entry not in used)
        taken.sort(key=lambda one: (next_taken - one[1]) & INDEX_MASK, reverse=True)
        return Left(len(put), [(entry, bytes(self._slots[entry])) for entry, _ in taken])

    def _entries(self) -> Iterator[tuple[int, int, int]]:
        """Entry, state and index."""
        for entry, word in enumerate(self._words):
            yield entry, word & _STATE_MASK, word >> _INDEX_SHIFT

    # ---- its end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave it to another back end."""
        self._words.release()
        for slot in self._slots:
            slot.release()
        self._map.close()

    def remove(self) -> None:
        """Have it no more: the ring has come to its end.  Idempotent; whether it is closed does not matter."""
        with suppress(FileNotFoundError):
            self.path.unlink()


def owner_of(path: Path) -> str:
    """Whose journal a file is, in this run of the machine; empty: it is none.

    :raises OSError: it can't be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD.size + _OWNER_BYTES_MAX)
    run = _name("")
    magic, length = _HEAD.unpack_from(head.ljust(_HEAD.size, b"\0"))
    name = head[_HEAD.size : _HEAD.size + length]
    return name.removeprefix(run).decode(errors="replace") if magic == _MAGIC and name.startswith(run) else ""


def _head(owner: str) -> bytes:
    name = _name(owner)[:_OWNER_BYTES_MAX]
    return _HEAD.pack(_MAGIC, len(name)) + name


def _name(owner: str) -> bytes:
    return f"{_BOOT_ID.read_text().strip()} {owner}".encode()
