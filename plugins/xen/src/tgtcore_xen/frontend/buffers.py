"""The memory of one request: pages of the guest that the back end may use until it has answered."""

from collections.abc import Iterator

from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated import EmulatedGuest, Page
from tgtcore_xen.vscsiif.segments import Segment


class RequestMemory:
    """Pages with data, and with tables that say where those are.

    :param length: of the data.
    :param offset: where in its first page the data begins.
    :param data_out: what the back end may read; without it, it may write ``length`` bytes.
    :raises OSError: the guest has no memory or no grants left.
    """

    def __init__(self, guest: EmulatedGuest, length: int, *, offset: int = 0, data_out: bytes | None = None) -> None:
        self._guest = guest
        self._granted: list[tuple[Page, int]] = []
        self._parts: list[memoryview] = []
        self._is_out = data_out is not None
        self.segments: list[Segment] = []
        """Where the data is: reference, offset and length."""
        try:
            self._fill(length, offset, data_out)
        except OSError:
            self.end()
            raise

    def _fill(self, length: int, offset: int, data_out: bytes | None) -> None:
        for at, begin, count in _cuts(length, offset):
            page, reference = self._grant(read_only=self._is_out)
            part = page.view[begin : begin + count]
            if data_out is not None:
                part[:] = data_out[at : at + count]
            self._parts.append(part)
            self.segments.append((reference, begin, count))

    def _grant(self, *, read_only: bool) -> tuple[Page, int]:
        page = self._guest.page()
        self._granted.append((page, self._guest.grant(page, read_only=read_only)))
        return self._granted[-1]

    def add_table(self, table: bytes) -> list[Segment]:
        """Have more pages that the back end may read; where they are.

        :raises OSError: the guest has no memory or no grants left; :meth:`end` is to be called.
        """
        segments = []
        for start in range(0, len(table), PAGE_BYTES):
            part = table[start : start + PAGE_BYTES]
            page, reference = self._grant(read_only=True)
            page.view[: len(part)] = part
            segments.append((reference, 0, len(part)))
        return segments

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
