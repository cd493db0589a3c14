"""What goes over the socket of an adapter, and where everything is in the shared memory; little-endian.

``docs/reference/ibmvio-emulated.md`` has it for authors of client partitions in other languages.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

MAGIC = b"TGTVIO\0\0"
VERSION = 1

PAGE_BYTES = 4096
"""Of the DMA window: what one entry of its table maps."""
SERVER_QUEUE_BYTES = 4096
NAME_BYTES_MAX = 95
"""Of a partition: as many as the adapter information of a MAD has room for, with a zero at the end."""
TEXT_BYTES_MAX = 255
ADDRESS_MAX = 1 << 63

HELLO = Struct("<8sIIQQQ96s")
"""magic, version, partition number, bytes of memory, start of the DMA window, bytes of it, partition name."""
WELCOME = Struct("<8sIIIIQQQQ256s")
"""magic, version, :class:`Status`, unit address, 0, bytes of the whole file, offsets in it: server queue, table of the window,
memory; text."""
CALL = Struct("<IIQQ")
""":class:`Call`, 0, two arguments."""
RETURN = Struct("<Ii")
"""The :class:`Call` that is answered, return code."""

SERVER_OPEN = 64 // 8
"""Word of the header page: not 0 while both have a queue, and the client may send to the server's."""
SERVER_WAITS = 128 // 8
"""Word of the header page: not 0 when the server wants to hear the doorbell."""
CLIENT_WAITS = 192 // 8
"""Word of the header page: not 0 when the client wants to hear the doorbell."""


class Status(IntEnum):
    """How a hello went."""

    WELCOME = 0
    OTHER_VERSION = 1
    REFUSED = 2


class Call(IntEnum):
    """What a client partition asks of the machine: hypervisor calls by their numbers, and what a management console does."""

    H_REG_CRQ = 0xFC
    """(address, length): elements of the server go there, whole pages that are mapped in one piece for both kinds of access.

    CLOSED: there is a queue, and the server has none yet; RESOURCE: there was one already; PARAMETER: there can't be one there.
    """
    H_FREE_CRQ = 0x100
    """The queue is gone, and the server hears of it."""
    H_ENABLE_CRQ = 0x2B0
    """Use the queues again after a migration; PARAMETER: there is none."""
    MIGRATE = 0xF001
    """Go to another machine: both sides hear of it, and nothing goes either way before H_ENABLE_CRQ.  CLOSED: one has no queue."""
    PREPARE_FOR_SUSPEND = 0xF002
    """Have the server told that the partition is about to be suspended, and wait with SUSPEND for it.  CLOSED: it has no queue."""
    RESUME = 0xF003
    """Have the server told that the partition goes on, suspended or not.  CLOSED: it has no queue."""
    SUSPEND = 0xF004
    """Be suspended: SUCCESS: every request has its answer, and the server leaves the partition alone until RESUME.

    BUSY: it is not ready yet, ask again; PARAMETER: it was not told, by PREPARE_FOR_SUSPEND; CLOSED: it has no queue.
    """


class Refused(Exception):
    """A client partition may not attach; the message says why.

    :param status: what the welcome says.
    """

    def __init__(self, text: str, status: Status = Status.REFUSED) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Hello:
    """What a client partition says of itself.

    :param number: partition number, 1 to 65535.
    :param name: partition name: 1 to 95 bytes of UTF-8, printable.
    :param memory_bytes: how much memory it wants, in whole pages.
    :param window_start: lowest address of its DMA window, at a page.
    :param window_bytes: size of the window, in whole pages.
    """

    number: int
    name: str
    memory_bytes: int
    window_start: int
    window_bytes: int

    def packet(self) -> bytes:
        """As it goes over the socket."""
        return HELLO.pack(
            MAGIC,
            VERSION,
            self.number,
            self.memory_bytes,
            self.window_start,
            self.window_bytes,
            self.name.encode(),
        )

    @classmethod
    def parse(cls, packet: bytes, memory_max: int) -> "Hello":
        """Read one from a stranger.

        :param memory_max: how much memory, and how large a window, it may have.
        :raises Refused: it can't be.
        """
        if len(packet) != HELLO.size:
            raise Refused(f"a hello of {len(packet)} bytes, expected {HELLO.size}")
        magic, version, number, memory_bytes, window_start, window_bytes, name = HELLO.unpack(packet)
        if magic != MAGIC:
            raise Refused("this is no client partition")
        if version != VERSION:
            raise Refused(
                f"the partition speaks version {version}, this machine version {VERSION}", Status.OTHER_VERSION
            )
        if not 1 <= number <= 0xFFFF:
            raise Refused(f"partition number {number}, expected 1 to 65535")
        for what, size in (("memory", memory_bytes), ("DMA window", window_bytes)):
            if not PAGE_BYTES <= size <= memory_max or size % PAGE_BYTES:
                raise Refused(f"a {what} of {size} bytes, expected whole pages of {PAGE_BYTES}, at most {memory_max}")
        if window_start % PAGE_BYTES or window_start + window_bytes > ADDRESS_MAX:
            raise Refused(f"a DMA window at {window_start:#x}, expected a page below {ADDRESS_MAX:#x}")
        return cls(number, _name(name), memory_bytes, window_start, window_bytes)


def _name(field: bytes) -> str:
    try:
        name = field.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise Refused("the partition's name is no UTF-8") from None
    if not name.isprintable() or not 1 <= len(name.encode()) <= NAME_BYTES_MAX:
        raise Refused(f"the partition's name has to be 1 to {NAME_BYTES_MAX} printable bytes")
    return name


@dataclass(frozen=True)
class Geometry:
    """Where everything is in the file: header page, server queue, table of the DMA window, memory of the partition."""

    total_bytes: int
    queue_offset: int
    table_offset: int
    memory_offset: int
    window_start: int
    window_bytes: int

    @classmethod
    def of(cls, hello: Hello) -> "Geometry":
        """What a client partition gets."""
        queue_offset = PAGE_BYTES
        table_offset = queue_offset + SERVER_QUEUE_BYTES
        table_bytes = hello.window_bytes // PAGE_BYTES * 8
        memory_offset = table_offset + -(-table_bytes // PAGE_BYTES) * PAGE_BYTES
        return cls(
            memory_offset + hello.memory_bytes,
            queue_offset,
            table_offset,
            memory_offset,
            hello.window_start,
            hello.window_bytes,
        )
