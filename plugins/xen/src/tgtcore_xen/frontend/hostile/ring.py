"""What a hostile guest does to its ring and its event channel."""

import struct
from collections.abc import Sequence
from random import Random

from tgtcore_xen.frontend.hostile.memory import HostileMemory
from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.layout import (
    HEADER_BYTES,
    INDEX_MASK,
    INDIRECT,
    REQUEST_EVENT,
    REQUEST_PRODUCER,
    RESPONSE_EVENT,
    RESPONSE_PRODUCER,
    SLOT_BYTES,
    SLOTS,
)

_REQUEST = struct.Struct("<HBB16sH4HBB")


class HostileRing:
    """One page with a ring, granted, and an event channel.

    :param cdbs: what its commands ask for.
    :param addresses: of the virtual devices that there are.
    """

    def __init__(
        self,
        guest: EmulatedGuest,
        random: Random,
        memory: HostileMemory,
        cdbs: Sequence[bytes],
        addresses: Sequence[tuple[int, int, int]],
    ) -> None:
        self._guest = guest
        self._random = random
        self._memory = memory
        self._cdbs = cdbs
        self._addresses = addresses
        self._page = guest.page()
        self._words = self._page.view[:HEADER_BYTES].cast("I")
        self._words[REQUEST_EVENT] = self._words[RESPONSE_EVENT] = 1
        self._channel = guest.channel(lambda: None)
        self._producer = 0
        self.reference = guest.grant(self._page)
        """Of the page."""

    @property
    def port(self) -> int:
        """Of the event channel."""
        return self._channel.port

    def leave(self) -> None:
        """Use it no more; the page stays, for the back end may have it mapped."""
        self._channel.close()

    # ---- acts -------------------------------------------------------------------------------------------------------------

    def honest(self) -> None:
        """Send some commands that could be Linux's, as many as there is room for."""
        for _ in range(self._random.choice((1, 1, 2, 16))):
            self._put(self._command())
        self._publish()

    def malformed(self) -> None:
        """Send a command in which some bytes are other ones."""
        slot = bytearray(self._command())
        for _ in range(self._random.choice((1, 1, 2, 8))):
            at = self._random.choice((2, 3, 20, 22, 24, 26, 28, 30, 31, self._random.randrange(SLOT_BYTES)))
            slot[at] = self._random.choice((0, 1, 4, 0x7F, 0x80, 0xFF, self._random.getrandbits(8)))
        self._put(bytes(slot))
        self._publish()

    def manage(self) -> None:
        """Abort or reset something, or ask for what there is not."""
        act = self._random.choice((2, 2, 3, 4, 0, 255))
        victim = self._random.choice((self._random.randrange(SLOTS), 16, 65535))
        where = self._random.choice(self._addresses)
        rqid = self._random.getrandbits(16)
        self._put(_REQUEST.pack(rqid, act, 0, bytes(16), 0, *where, victim, 3, 0).ljust(SLOT_BYTES, b"\0"))
        self._publish()

    def noise(self) -> None:
        """Send bytes."""
        self._put(self._random.randbytes(SLOT_BYTES))
        self._publish()

    def overwrite(self) -> None:
        """Change a slot that the back end may be about to read, or to write."""
        start = HEADER_BYTES + self._random.randrange(SLOTS) * SLOT_BYTES
        self._page.view[start : start + SLOT_BYTES] = self._random.randbytes(SLOT_BYTES)

    def overrun(self) -> None:
        """Say that there are more requests than can be."""
        jump = self._random.choice((16, 17, 17, 32, 1 << 16, 1 << 31, INDEX_MASK, self._random.getrandbits(32)))
        self._words[REQUEST_PRODUCER] = (self._producer + jump) & INDEX_MASK
        self._channel.notify()

    def meddle(self) -> None:
        """Change the indexes that are the back end's, and when it is told."""
        word = self._random.choice((REQUEST_EVENT, REQUEST_EVENT, RESPONSE_PRODUCER, RESPONSE_EVENT, RESPONSE_EVENT))
        self._words[word] = self._random.choice(
            (0, self._producer, self._producer + 1, self._random.getrandbits(32))
        ) & (INDEX_MASK)

    def scribble(self) -> None:
        """Fill the page with bytes."""
        self._page.view[:] = self._random.randbytes(PAGE_BYTES)
        self._channel.notify()

    def storm(self) -> None:
        """Notify again and again."""
        for _ in range(self._random.choice((1, 2, 100))):
            self._channel.notify()

    def hang_up(self) -> None:
        """Close the event channel."""
        self._channel.close()

    def tear(self) -> None:
        """Revoke the grant of the ring, as far as a guest can."""
        if self.reference >= 0:
            self._guest.tear(self.reference)
            self.reference = -1

    # ---- how --------------------------------------------------------------------------------------------------------------

    def _command(self) -> bytes:
        cdb = self._random.choice(self._cdbs)
        channel, target, lun = self._random.choice(self._addresses)
        direction = self._random.choice((1, 2, 2, 3, 0)) if self._random.random() < 0.1 else 1 if cdb[0] == 0x2A else 2
        indirect = self._random.random() < (0.7 if self._memory.greedy else 0.2)
        records = self._memory.indirect() if indirect else self._memory.segments()
        count = len(records) // 8 | (INDIRECT if indirect else 0)
        rqid = self._random.randrange(SLOTS)
        fields = (rqid, 1, len(cdb), cdb, 0, channel, target, lun, 0, direction, count)
        return (_REQUEST.pack(*fields) + records).ljust(SLOT_BYTES, b"\0")

    def _put(self, slot: bytes) -> None:
        """Put it into the ring, if there is room."""
        if (self._producer - self._words[RESPONSE_PRODUCER]) & INDEX_MASK >= SLOTS:
            return
        start = HEADER_BYTES + self._producer % SLOTS * SLOT_BYTES
        self._page.view[start : start + SLOT_BYTES] = slot
        self._producer = (self._producer + 1) & INDEX_MASK

    def _publish(self) -> None:
        self._words[REQUEST_PRODUCER] = self._producer
        self._channel.notify()
