"""Whatever a guest writes into its slots: each request is answered once, nothing is left in use, and the next one is served."""

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from tgtcore_xen.hba.repeatable import REPEATABLE
from tgtcore_xen.vscsiif.layout import SLOT_BYTES
from tgtcore_xen.vscsiif.request import rqid_of
from tgtcore_xen.vscsiif.response import Response

from tgtcore.scsi.opcodes import OperationCode as Op
from tgtcore.testing.host import READY

if TYPE_CHECKING:
    from conftest import Bench


class Noise:
    """Requests that are mostly nearly right."""

    def __init__(self, bench: "Bench", seed: int) -> None:
        self.bench = bench
        self.random = Random(seed)

    def number(self, size: int, *likely: int) -> bytes:
        value = self.random.choice(likely) if self.random.random() < 0.98 else self.random.getrandbits(8 * size)
        return value.to_bytes(size, "little")

    def segment(self) -> bytes:
        reference = self.random.choice(self.bench.front.references)
        return self.number(4, reference) + self.number(2, 0, 8, 512) + self.number(2, 8, 16, 512, 3584)

    def slot(self) -> bytes:
        wanted = self.random.choice([0, 1, 512, 5000])
        cdb = self.number(1, 0x00, 0x1D, 0x28, 0x2A) + bytes(5) + wanted.to_bytes(3, "big") + bytes(7)
        if self.random.random() < 0.1:
            cdb = self.random.randbytes(16)
        parts = [self.random.randbytes(2), self.number(1, *[1] * 30, 2, 2, 3), self.number(1, 6, 10, 16), cdb, bytes(2)]
        parts += [self.number(2, 0), self.number(2, 0), self.number(2, 0, 0, 1), self.number(2, *range(20))]
        parts += [self.number(1, 1, 2, 3), self.number(1, 0, 1, 2, 26, 0x81, 0x82)]
        parts += [self.segment() for _ in range(26)]
        return b"".join(parts).ljust(SLOT_BYTES, b"\xff")

    def fill(self) -> None:
        """Let pages hold what may be read as tables of segments."""
        for page in self.random.choices(self.bench.front.pages, k=8):
            page.view[:1024] = b"".join([self.segment() for _ in range(128)])


def test_noise(bench: "Bench") -> None:
    noise, front, wrote = Noise(bench, 6), bench.front, 0
    for _ in range(150):
        noise.fill()
        slots = [noise.slot() for _ in range(noise.random.randrange(1, 17))]
        answers = bench.ask(*slots)
        assert Counter(response.rqid for response in answers) == Counter(rqid_of(slot) for slot in slots)
        assert bench.broken == []
        assert bench.memory.data_bytes == 0
        assert not bench.nexus.tasks
        wrote += bool(bench.device().written)
        bench.ask(front.command(1, READY), front.command(2, READY, lun=1))  # what a reset may have left to tell
        assert bench.ask(front.command(1, READY)) == [Response(1, 0)]
    figures = bench.connection.figures
    assert figures.malformed > 100
    assert figures.copied_segments > 200
    assert figures.failed_copies > 2
    assert wrote > 5
    bench.end()


def test_what_is_not_performed_twice() -> None:
    once = {
        *(Op.COMPARE_AND_WRITE, Op.READ_6, Op.WRITE_6, Op.PERSISTENT_RESERVE_OUT, Op.RESERVE_6, Op.RELEASE_6),
        *(
            Op.MODE_SELECT_6,
            Op.MODE_SELECT_10,
            Op.FORMAT_UNIT,
            Op.SANITIZE,
            Op.THIRD_PARTY_COPY_OUT,
            Op.SEND_DIAGNOSTIC,
        ),
        *(Op.VARIABLE_LENGTH, Op.MAINTENANCE_OUT, Op.SERVICE_ACTION_OUT_16, Op.WRITE_BUFFER, Op.ATA_PASS_THROUGH_16),
    }
    assert not once & REPEATABLE
    assert set(map(int, Op)) >= REPEATABLE, "a code that nobody knows"
    assert {Op.READ_10, Op.WRITE_10, Op.READ_16, Op.WRITE_16, Op.SYNCHRONIZE_CACHE_10, Op.UNMAP} <= REPEATABLE
