"""VERIFY and WRITE AND VERIFY (SBC-4 5.36 to 5.38, 5.49 to 5.51)."""

from typing import Any

from tgtcore import PENDING, Buffer, ReservationClass, Task, command, invalid_cdb_field
from tgtcore_disk.compare import first_difference, miscompare
from tgtcore_disk.fields import fields_of, length_byte
from tgtcore_disk.medium import PIECE_BYTES, Steps
from tgtcore_disk.transfer import TransferCommands

_NO_COMPARISON, _ALL_BLOCKS, _RESERVED, _ONE_BLOCK = range(4)


def _byte_check(flags: int) -> int:
    return flags >> 1 & 3


class VerifyCommands(TransferCommands):
    """VERIFY (10), (12), (16) and WRITE AND VERIFY (10), (12), (16).

    BYTCHK 00b reads the blocks, 01b compares them with the data-out, 11b compares each of them with one block of data-out.
    """

    def wants_verify(self, task: Task) -> int:
        """Check a VERIFY's CDB; how many bytes of data-out it asks for."""
        lba, blocks, flags = task.arguments = fields_of[task.cdb[0]](task.cdb)
        byte_check = _byte_check(flags)
        if byte_check == _RESERVED:
            raise invalid_cdb_field(1, 2)
        if lba + blocks > self.blocks or self.obstacles or (byte_check == _ALL_BLOCKS and blocks > self.max_blocks):
            raise self.refusal(task.cdb, lba, blocks)
        wanted = {_NO_COMPARISON: 0, _ALL_BLOCKS: blocks, _ONE_BLOCK: min(blocks, 1)}[byte_check]
        return wanted << self.shift

    @command(0x2F, "2F 16 FF FF FF FF 3F FF FF 00", reservation=ReservationClass.READ, wants=wants_verify, timeout_s=60)
    @command(
        0xAF, "AF 16 FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.READ, wants=wants_verify, timeout_s=60
    )
    @command(
        0x8F, "8F 16 FF FF FF FF FF FF FF FF FF FF FF FF 3F 00",
        reservation=ReservationClass.READ, wants=wants_verify, timeout_s=60,
    )  # fmt: skip
    def verify(self, task: Task) -> Any:
        """VERIFY; when the data-out is too short, as many blocks as came are compared."""
        lba, blocks, flags = task.arguments
        data = self.whole_blocks(task, task.wanted_out)
        if _byte_check(flags) == _ALL_BLOCKS:
            blocks = len(data) >> self.shift
        elif len(data) < task.wanted_out:
            raise invalid_cdb_field(length_byte(task.cdb[0]))
        if not blocks:
            return None
        self.check_range(lba, blocks)
        offset, length = lba << self.shift, blocks << self.shift
        if _byte_check(flags) == _ALL_BLOCKS:
            if self.contended and not self.ranges.admit(task, offset, offset + length):
                return PENDING
            return self.gradually(task, offset, length, self._compare(task, offset, length, data))
        # these may go on over the whole medium, and nobody's COMPARE AND WRITE shall wait so long
        if _byte_check(flags) == _NO_COMPARISON:
            return self.in_slices(task, self.read_all(task, offset, length))
        repeated = memoryview(bytes(data) * (min(length, PIECE_BYTES) >> self.shift))
        return self.in_slices(task, self._compare(task, offset, length, repeated))

    def _compare(self, task: Task, offset: int, length: int, expected: Buffer) -> Steps:
        """Compare a range with ``expected``, which starts again with each piece when it is shorter than the range."""
        view = memoryview(expected)
        for start, piece in self.pieces(task, offset, length):
            at = start - offset if len(view) == length else 0
            difference = first_difference(view[at : at + piece], self.store.read(start, piece))
            if difference is not None:
                raise miscompare((start + difference) >> self.shift)
            yield

    def wants_write_and_verify(self, task: Task) -> int:
        """Check a WRITE AND VERIFY's CDB; how many bytes of data-out it asks for."""
        if task.cdb[1] & 0x04:
            raise invalid_cdb_field(1, 2)
        return self.wants_write(task)

    @command(0x2E, "2E 16 FF FF FF FF 3F FF FF 00", reservation=ReservationClass.WRITE, wants=wants_write_and_verify)
    @command(
        0xAE, "AE 16 FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.WRITE, wants=wants_write_and_verify
    )
    @command(
        0x8E, "8E 16 FF FF FF FF FF FF FF FF FF FF FF FF 3F 00",
        reservation=ReservationClass.WRITE, wants=wants_write_and_verify,
    )  # fmt: skip
    def write_and_verify(self, task: Task) -> Any:
        """WRITE AND VERIFY: write to the medium, read back, and compare (which BYTCHK 00b does not ask for, but allows)."""
        lba, blocks, _ = task.arguments
        data = self.whole_blocks(task, blocks << self.shift)
        if not data:
            return None
        self.check_write(lba, blocks)
        offset = lba << self.shift
        if not self.ranges.admit(task, offset, offset + len(data), alone=True):
            return PENDING
        return self.gradually(task, offset, len(data), self._write_and_compare(task, offset, data), alone=True)

    def _write_and_compare(self, task: Task, offset: int, data: memoryview) -> Steps:
        self.store.write_through(offset, data)
        yield
        yield from self._compare(task, offset, len(data), data)
