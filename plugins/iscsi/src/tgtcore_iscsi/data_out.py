"""Data-out of one command: immediate data, unsolicited and solicited Data-Out PDUs, and the R2Ts that ask for them.

RFC 7143 4.2.5.1 (data transfer), 11.7 (Data-Out), 11.8 (R2T).  ErrorRecoveryLevel 0: a gap or an overlap is a protocol error.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, RejectReason


class R2TFields(NamedTuple):
    """What an R2T asks for."""

    ttt: int
    r2t_sn: int
    offset: int
    length: int


class _Burst:
    """One sequence of Data-Out PDUs: the unsolicited one, or the answer to one R2T."""

    __slots__ = ("data_sn", "end", "position")

    def __init__(self, position: int, end: int) -> None:
        self.position = position
        self.end = end
        self.data_sn = 0


class DataOut:
    """Collects the data-out of one command.

    :param size: bytes to collect at most; PDUs beyond are a protocol error.
    :param immediate: the data that came with the command.
    :param unsolicited_end: up to which offset unsolicited Data-Out PDUs may still come; the length of ``immediate`` when none may.
    """

    __slots__ = ("_bursts", "_next_offset", "_wanted", "buffer", "r2t_sn", "received", "size")

    def __init__(self, size: int, immediate: memoryview, unsolicited_end: int) -> None:
        self.size = size
        self.buffer = bytearray(size)
        self.buffer[: len(immediate)] = immediate
        self.received = len(immediate)
        """Bytes that are there; they are contiguous from the start once every burst is complete."""
        self._bursts: dict[int, _Burst] = {}
        self._next_offset = self.received
        self.r2t_sn = 0
        """How many R2Ts were sent."""
        self._wanted = 0
        if unsolicited_end > self.received:
            self._bursts[NO_TAG] = _Burst(self.received, unsolicited_end)
            self._next_offset = unsolicited_end

    @property
    def outstanding(self) -> int:
        """How many R2Ts are not answered completely."""
        return len(self._bursts) - (NO_TAG in self._bursts)

    @property
    def open(self) -> bool:
        """Whether the initiator has data still to send for this command."""
        return bool(self._bursts)

    @property
    def complete(self) -> bool:
        """Whether everything that was wanted is there and nothing more will come."""
        return not self._bursts and self.received >= self._wanted

    def want(self, length: int) -> None:
        """The command needs ``length`` bytes in all; :meth:`requests` then says how to get them."""
        if length > self.size:
            self.buffer.extend(bytes(length - self.size))
            self.size = length
        self._wanted = length

    def requests(self, max_burst: int, max_outstanding: int, new_tag: Iterator[int]) -> Iterator[R2TFields]:
        """The R2Ts to send now."""
        if NO_TAG in self._bursts:
            return  # how much comes unsolicited is known when its last PDU is here
        while self._next_offset < self._wanted and self.outstanding < max_outstanding:
            length = min(max_burst, self._wanted - self._next_offset)
            ttt = next(new_tag)
            yield R2TFields(ttt, self.r2t_sn, self._next_offset, length)
            self._bursts[ttt] = _Burst(self._next_offset, self._next_offset + length)
            self._next_offset += length
            self.r2t_sn += 1

    def arrived(self, flags: int, ttt: int, data_sn: int, offset: int, data: memoryview) -> None:
        """Take a Data-Out PDU.

        :raises RemoteProtocolError: it was not asked for, is out of order, or is longer than its burst.
        """
        burst = self._bursts.get(ttt)
        if burst is None:
            raise _invalid(f"Data-Out for target transfer tag {ttt:#010x}, which asks for nothing")
        if data_sn != burst.data_sn:
            raise _invalid(f"DataSN {data_sn}, expected {burst.data_sn}")
        if offset != burst.position:
            raise _invalid(f"Data-Out at offset {offset}, expected {burst.position}")
        end = offset + len(data)
        if end > burst.end:
            raise _invalid(f"Data-Out up to offset {end}, but its burst ends at {burst.end}")
        self.buffer[offset:end] = data
        self.received += len(data)
        burst.position = end
        burst.data_sn += 1
        if flags & FINAL:
            if end < burst.end and ttt != NO_TAG:
                raise _invalid(f"final Data-Out at offset {end}, but the R2T asked for data up to {burst.end}")
            del self._bursts[ttt]
            if ttt == NO_TAG:
                self._next_offset = end
        elif end == burst.end:
            raise _invalid(f"the F bit is missing in the Data-Out that ends its burst at offset {end}")


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=RejectReason.INVALID_PDU_FIELD)
