"""The memory of one request: pages of the guest that the back end may use until it has answered."""

from collections.abc import Iterator

from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated import EmulatedGuest, Page
from tgtcore_xen.vscsiif.layout import SEGMENTS
from tgtcore_xen.vscsiif.segments import Segment, build_segments


class RequestMemory:
    """Pages with data, and with the segments that do not fit into the request.

    :param length: of the data.
    :param offset: where in its first page the data begins.
    :param data_out: what the back end may read; without it, it may write ``length`` bytes.
    :raises OSError: the guest has no memory or no grants left.
    """

    def __init__(self, guest: EmulatedGuest, length: int, *, offset: int = 0, data_out: bytes | None = None) -> None:
        self._guest = guest
        self._granted: list[tuple[Page, int]] = []
        self._parts: list[memoryview] = []
        self.segments: list[Segment] = []
        """What the request says."""
        self.data_segments: list[Segment] = []
        """Where the data is."""
        self.indirect = False
        """Whether the segments of the request name tables of segments."""
        self._is_out = data_out is not None
        try:
            self._fill(length, offset, data_out)
        except OSError:
            self.end()
            raise

    def _fill(self, length: int, offset: int, data_out: bytes | None) -> None:
        for at, begin, count in _cuts(length, offset):
            page, reference = self._grant(read_only=data_out is not None)
            part = page.view[begin : begin + count]
            if data_out is not None:
                part[:] = data_out[at : at + count]
            self._parts.append(part)
            self.data_segments.append((reference, begin, count))
        self.segments = self.data_segments
        if len(self.data_segments) > SEGMENTS:
            self._write_tables()

    def _grant(self, *, read_only: bool) -> tuple[Page, int]:
        page = self._guest.page()
        self._granted.append((page, self._guest.grant(page, read_only=read_only)))
        return self._granted[-1]

    def _write_tables(self) -> None:
        self.indirect = True
        self.segments = []
        records = build_segments(self.data_segments)
        for start in range(0, len(records), PAGE_BYTES):
            part = records[start : start + PAGE_BYTES]
            page, reference = self._grant(read_only=True)
            page.view[: len(part)] = part
            self.segments.append((reference, 0, len(part)))

    @property
    def tables(self) -> list[memoryview]:
        """The pages that have tables of segments."""
        return [page.view for page, _ in self._granted[len(self.data_segments) :]]

    def data(self) -> bytes:
        """What the back end has written."""
        return b"" if self._is_out else b"".join(self._parts)

    def end(self) -> None:
        """Revoke every grant.

        :raises OSError: EBUSY: one is still in use by the back end.
        """
        while self._granted:
            page, reference = self._granted[-1]
            self._guest.revoke(reference)
            self._guest.free(page)
            self._granted.pop()


def _cuts(length: int, offset: int) -> Iterator[tuple[int, int, int]]:
    """Where in the data, where in its page and how long each part is that lies in one page."""
    at = 0
    while at < length:
        count = min(length - at, PAGE_BYTES - offset)
        yield at, offset, count
        at += count
        offset = 0
