"""Information units and datagrams as clients send them: right, or right but for one thing."""

import struct
from pathlib import Path

from tgtcore_srp.iu.login import LoginRequest
from tgtcore_srp.iu.management import TaskManagement

from tgtcore.testing.host import HELD, READY, REFUSED, read, write

from .neighbour import LOGIN, LUN_0, PAGE, PAGES, START

TRANSFER_MAX = 1 << 17
IUS, TABLE, DATA = PAGE, 5 * PAGE, 16 * PAGE
SLOTS = 4 * PAGE // 256
END = START + PAGES * PAGE
WINDOW_END = START + 2 * PAGES * PAGE

_HEADER = struct.Struct(">BB3xBBBQ4xQxBxB16s")
_SEGMENT = struct.Struct(">QII")
_MAD = struct.Struct(">IHHQQ")

_GOLDEN = Path(__file__).parents[1] / "golden" / "client_ius.txt"
RECORDED = [
    (bytes.fromhex(iu).ljust(256, b"\0"), bytes.fromhex(element)[1])
    for _, element, iu in (line.split() for line in _GOLDEN.read_text().splitlines() if line.startswith("request "))
]
"""Information units with the format that they came in."""

_REPORT_LUNS, _INQUIRY, _SENSE = b"\xa0" + bytes(8) + b"\1\0\0", b"\x12\0\0\0\xff\0", b"\3\0\0\0\xff\0"
_LUNS = (LUN_0,) * 8 + (0x8001 << 48,) * 5 + (0, 1 << 48, 0x8105 << 48, 0xC101 << 48, 0x8000_0001 << 32)
_ATTRIBUTES = (0,) * 12 + (1, 2, 4)
_LENGTHS = (1, 512, 512, 1001, 4096, 4096, 8192, 65536, TRANSFER_MAX, TRANSFER_MAX + 1)
_SHARES = ((1,), (1,), (1, 1), (1, 1, 1), (1, 7), (1,) * 5, (1,) * 9, (1,) * 12, (1,) * 64)
"""In what proportions a buffer is cut into pieces."""
_FIELDS = (
    *(1, 5, 6, 7, 15, 16, 20, 21, 29, 31, 32, 33, 39, 40, 41),  # of the header
    *(48, 55, 56, 59, 60, 61, 62, 63),  # of the descriptor, or the one of the table
    *(64, 65, 66, 67, 68, 75, 80, 82, 83, 84, 91, 99),  # the length of an indirect buffer and its list
)
"""Bytes that mean something."""
_TABLES = (DATA - TABLE) // 1024
_LENGTH_AT = 38
"""The first byte of the length in the CDB: with it a command makes megabytes, which takes its time."""
_ELEMENT_LENGTHS = (0, 1, 15, 16, 17, 47, 48, 63, 64, 255, 257, 4096, 65535)
_MAD_KINDS = (1, 2, 3, 4, 5, 8)
_MAD_LENGTHS = {2: (1, 16, 256), 3: (148,), 5: (80, 100, 256), 8: (0,), 1: (0,), 4: (64,)}
_FUNCTIONS = (1, 1, 1, 2, 4, 8, 0x10, 0x40)


class Units:
    """Makes them.

    :param memory: of the partition: tables and descriptors are put there.
    """

    def __init__(self, dice, memory):
        self.dice = dice
        self.memory = memory
        self._table = 0

    # ---- commands -----------------------------------------------------------------------------------------------------

    def command(self, tag):
        """A command; a third of them has one thing that is wrong."""
        dice = self.dice
        kind = dice.random()
        if kind < 0.06:
            return self._spoilt(self._header(tag, dice.choice((READY, REFUSED, _SENSE, READY)), 0))
        if kind < 0.11:
            return self._header(tag, HELD, 0)
        if kind < 0.15:
            return self._with_buffers(tag, dice.choice((_REPORT_LUNS, _INQUIRY, _SENSE)), None, 255)
        length = dice.choice(_LENGTHS)
        if kind < 0.55:
            return self._with_buffers(tag, read(self._nearly(length)), None, length)
        if kind < 0.97:
            return self._with_buffers(tag, write(self._nearly(length)), length, None)
        return self._with_buffers(tag, dice.choice((read, write))(length), length, 512)

    def largest(self, tag):
        """A write of as much as there may be at once."""
        return self._with_buffers(tag, write(TRANSFER_MAX), TRANSFER_MAX, None)

    def _nearly(self, length):
        """What the CDB says, which now and then has room in the buffer but for a byte, or is only a part."""
        how = self.dice.random()
        if how < 0.85:
            return length
        return max(0, length + 1) if how < 0.92 else length // 2 if how < 0.999 else 0xFFFFFF

    def _header(self, tag, cdb, formats, out_count=0, in_count=0):
        dice = self.dice
        lun, attribute = dice.choice(_LUNS), dice.choice(_ATTRIBUTES)
        return _HEADER.pack(2, 0, formats, out_count, in_count, tag, lun, attribute, 0, cdb.ljust(16, b"\0"))

    def _with_buffers(self, tag, cdb, out, in_):
        out_format, out_count, out_bytes = self._buffer(out)
        in_format, in_count, in_bytes = self._buffer(in_)
        header = self._header(tag, cdb, out_format << 4 | in_format, out_count, in_count)
        return self._spoilt(header + out_bytes + in_bytes)

    def _buffer(self, length):
        """Format, count and bytes of a descriptor."""
        if length is None:
            return 0, 0, b""
        dice = self.dice
        at = DATA + dice.choice((0, 0, 0, 1, PAGE - 1, 4096, 8 * PAGE))
        if dice.random() < 0.4:
            return 1, 0, self._segment(at, length)
        shares = dice.choice(_SHARES)
        whole, begin, pieces = sum(shares), 0, []
        for upto in _sums(shares):
            end = length * upto // whole
            pieces.append(self._segment(at + begin, end - begin))
            begin = end
        entries = b"".join(pieces)
        listed = dice.choice((0, 0, len(pieces), len(pieces) // 2)) if len(pieces) < 10 else 0
        self._table = (self._table + 1) % _TABLES
        table = TABLE + self._table * 1024
        self.memory[table : table + len(entries)] = entries
        size = len(entries) + (dice.choice((-16, 16, 1, 1 << 16)) if dice.random() < 0.01 else 0)
        total = length + (dice.choice((-1, 1, 1 << 24)) if dice.random() < 0.01 else 0)
        return 2, listed, self._segment(table, size) + struct.pack(">I", total) + entries[: listed * 16]

    def _segment(self, at, length):
        dice = self.dice
        address = START + at
        if dice.random() < 0.02:
            address = self.wild(at)
        return _SEGMENT.pack(address, dice.getrandbits(32), max(0, length))

    def wild(self, at=0):
        """An address where one should not be: beside the window, without pages, or in what else is in use."""
        dice = self.dice
        return dice.choice(
            (
                *(0, (1 << 64) - 1, (1 << 63) + 1, START - 1, END - 1, END, WINDOW_END - 128),
                *(START + 16 * dice.randrange(256), START + IUS, START + TABLE, START + at + PAGES * PAGE),
                dice.getrandbits(64),
            )
        )

    def _spoilt(self, unit):
        """One thing may be wrong."""
        dice = self.dice
        how = dice.random()
        if how < 0.7:
            return unit
        made = bytearray(unit)
        if how < 0.999:
            at = dice.choice(_FIELDS)
            if at >= len(made):
                return unit
        else:
            at = _LENGTH_AT
        old = made[at]
        made[at] = dice.choice((old + 1 & 0xFF, old - 1 & 0xFF, old ^ 0x80, 0, 1, 2, 0xFF, dice.getrandbits(8)))
        return made

    # ---- other units --------------------------------------------------------------------------------------------------

    def function(self, tag, task_tag):
        """Task management, also functions that there are not."""
        dice = self.dice
        unit = TaskManagement(tag, dice.choice(_LUNS), dice.choice(_FUNCTIONS), task_tag).build()
        return self._spoilt(unit) if dice.random() < 0.2 else unit

    def login(self):
        """A login, with one thing wrong."""
        dice = self.dice
        return dice.choice(
            (
                self._spoilt(LOGIN),
                LoginRequest(1, dice.choice((0, 63, 64, 255, 257, 1 << 31)), 6, bytes(16), bytes(16)).build(),
                LoginRequest(1, 256, dice.getrandbits(16), bytes(16), bytes(16)).build(),
                LoginRequest(1, 256, 6, dice.randbytes(16), dice.randbytes(16)).build(),
                LoginRequest(1, 256, 6, bytes(16), bytes(16), dice.getrandbits(2), dice.getrandbits(3)).build(),
            )
        )

    def other(self, tag):
        """Logouts, answers that nobody has asked for, what only targets send, and what does not exist."""
        opcode = self.dice.choice((3, 4, 0x41, 0x42, 0xC0, 0xC1, 0x80, 0x81, 0x82, self.dice.getrandbits(8)))
        return struct.pack(">B7xQ", opcode, tag)

    def datagram(self):
        """A management datagram and its length: of all kinds, with records of all lengths."""
        dice = self.dice
        kind = dice.choice(_MAD_KINDS)
        length = dice.choice(_MAD_LENGTHS[kind])
        address, size = START + DATA, 24
        if dice.random() < 0.3:
            kind, length, address, size = dice.choice(
                (
                    (dice.getrandbits(32), length, address, size),
                    (kind, dice.getrandbits(16), address, size),
                    (kind, length + dice.choice((-1, 1)) & 0xFFFF, address, size),
                    (kind, length, self.wild(DATA), size),
                    (kind, length, address, dice.choice((0, 15, 16, 23, 256, 257, 65535))),
                )
            )
        return _MAD.pack(kind, dice.choice((0, 0, 0xF7)), length, dice.getrandbits(64), address), size

    def element_length(self):
        """What an element says of the length of its unit."""
        return self.dice.choice(_ELEMENT_LENGTHS) if self.dice.random() < 0.5 else 256


def _sums(shares):
    done = 0
    for share in shares:
        done += share
        yield done
