"""Where everything is in the memory of a ring, and the header page that says so."""

import mmap
from dataclasses import dataclass

from tgtcore.errors import RingError
from tgtcore.ring.layout import Field, Layout
from tgtcore.ring.messages import REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES

MAGIC = b"TGTRING\0"
ABI_VERSION = 1
FEATURES = 0
"""Feature bits that both sides must know to use; none so far."""

PAGE_BYTES = mmap.PAGESIZE

HEADER = Layout(
    "header",
    "The first page of the memory, written by the core before anybody else has it, and never changed.",
    Field("magic", 8, '"TGTRING" and a zero'),
    Field("abi_version", "u32", "1"),
    Field("header_bytes", "u32", "size of this page"),
    Field("features", "u64", "features in use: those that both sides know"),
    Field("total_bytes", "u64", "size of the memory"),
    Field("request_offset", "u64", "where the request ring begins"),
    Field("request_slots", "u32", "its slots"),
    Field("request_slot_bytes", "u32", "size of a slot"),
    Field("response_offset", "u64", "where the response ring begins"),
    Field("response_slots", "u32", "its slots"),
    Field("response_slot_bytes", "u32", "size of a slot"),
    Field("event_offset", "u64", "where the event buffers begin"),
    Field("events", "u32", "their number: as many events may be unacknowledged"),
    Field("event_bytes", "u32", "size of an event buffer"),
    Field("data_offset", "u64", "where the data area begins"),
    Field("data_bytes", "u64", "its size"),
    Field("depth", "u32", "how many requests may be unanswered"),
    Field("core_pid", "u32", "process id of the core"),
    Field("driver_pid", "u32", "process id of the driver, as the kernel knows it"),
    Field("driver_uid", "u32", "user id of the driver, as the kernel knows it"),
    Field("instance", 16, "random: another one for each ring"),
    Field("driver", 64, "name of the driver, in UTF-8, padded with zeroes"),
)


@dataclass(frozen=True)
class Geometry:
    """The sizes of a ring.

    Each unanswered request may have two slots in either ring, itself and the DATA that belongs to it, or WANT_DATA and the answer;
    each unacknowledged event one.  So a side that keeps within its own limits never finds a ring full.

    :param depth: requests that may be unanswered.
    :param data_bytes: size of the data area.
    :param events: events that may be unacknowledged.
    :param event_bytes: size of an event's buffer.
    """

    depth: int = 2048
    data_bytes: int = 96 * 1024 * 1024
    events: int = 16
    event_bytes: int = 1024 * 1024

    @property
    def slots(self) -> int:
        """Slots of either ring."""
        return 2 * self.depth + self.events

    @property
    def request_offset(self) -> int:
        """Where the request ring begins."""
        return PAGE_BYTES

    @property
    def response_offset(self) -> int:
        """Where the response ring begins."""
        return _whole_pages(self.request_offset + self.slots * REQUEST_SLOT_BYTES)

    @property
    def event_offset(self) -> int:
        """Where the event buffers begin."""
        return _whole_pages(self.response_offset + self.slots * RESPONSE_SLOT_BYTES)

    @property
    def data_offset(self) -> int:
        """Where the data area begins."""
        return _whole_pages(self.event_offset + self.events * self.event_bytes)

    @property
    def total_bytes(self) -> int:
        """Size of the memory."""
        return _whole_pages(self.data_offset + self.data_bytes)

    def header(
        self, *, features: int, core_pid: int, driver_pid: int, driver_uid: int, instance: bytes, driver: str
    ) -> bytes:
        """The header page."""
        page = bytearray(PAGE_BYTES)
        HEADER.pack_into(
            page,
            0,
            MAGIC,
            ABI_VERSION,
            PAGE_BYTES,
            features,
            self.total_bytes,
            self.request_offset,
            self.slots,
            REQUEST_SLOT_BYTES,
            self.response_offset,
            self.slots,
            RESPONSE_SLOT_BYTES,
            self.event_offset,
            self.events,
            self.event_bytes,
            self.data_offset,
            self.data_bytes,
            self.depth,
            core_pid,
            driver_pid,
            driver_uid,
            instance,
            driver.encode()[:64],
        )
        return bytes(page)

    @classmethod
    def read(cls, page: bytes) -> "Geometry":
        """What a header page says.

        :raises RingError: it is none, of another version, or made otherwise than this code would.
        """
        values = dict(zip((field.name for field in HEADER.fields), HEADER.unpack_from(page, 0), strict=True))
        if values["magic"] != MAGIC or values["abi_version"] != ABI_VERSION:
            raise RingError(f"this is no ring of version {ABI_VERSION}")
        made = cls(values["depth"], values["data_bytes"], values["events"], values["event_bytes"])
        told = (values["request_offset"], values["response_offset"], values["event_offset"], values["data_offset"])
        if told != (made.request_offset, made.response_offset, made.event_offset, made.data_offset):
            raise RingError("the parts of the ring are not where they were expected")
        return made


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES
