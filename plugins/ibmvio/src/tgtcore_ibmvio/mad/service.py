"""Answers management datagrams, in memory that is there from the beginning."""

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tgtcore_ibmvio.mad import records
from tgtcore_ibmvio.mad.codec import BUFFER, DATAGRAM_BYTES_MAX, HEADER, MadStatus, MadType
from tgtcore_ibmvio.mad.records import OsType, PartnerRecord
from tgtcore_ibmvio.platform import Adapter, Hcall

_log = logging.getLogger(__name__)

_LOGGED_BYTES = 64
"""How much of an error log is shown: its form is the client's own."""


class BadDatagram(Exception):
    """There is no way to answer; the message says why."""


class Kind(NamedTuple):
    """How a type of datagrams is answered.

    :param record_bytes: the lengths that its record may have.
    :param writes: whether the record is written back.
    """

    handler: "Callable[[MadService, memoryview], bool]"
    record_bytes: range
    writes: bool


class MadService:
    """The datagrams of one connection, one at a time.

    :param name: of the server's partition, and its number.
    :param logged_in: whether the client has logged in: some things must be agreed upon before.
    """

    def __init__(
        self,
        adapter: Adapter,
        name: str,
        number: int,
        os_type: OsType,
        transfer_bytes_max: int,
        logged_in: Callable[[], bool],
    ) -> None:
        self.partner: PartnerRecord | None = None
        """What the client has said of itself since it is connected."""
        self.fast_fail = False
        """Whether the client wants to hear of a failing server at once."""
        self._adapter = adapter
        self._name = name
        self._info = records.adapter_info(name, number, os_type, transfer_bytes_max)
        self._logged_in = logged_in
        self._datagram = memoryview(bytearray(DATAGRAM_BYTES_MAX))
        self._record = memoryview(bytearray(records.CAPABILITIES_BYTES_MAX))
        self._error_logs = 0

    def answer(self, address: int, length: int) -> tuple[int, bytes]:
        """Answer a datagram in its place in the client's memory.

        :returns: length of the answer there, and its tag.
        :raises BadDatagram: it has no place, or an impossible length.
        """
        if not HEADER.size <= length <= DATAGRAM_BYTES_MAX:
            raise BadDatagram(f"a datagram of {length} bytes, expected {HEADER.size} to {DATAGRAM_BYTES_MAX}")
        datagram = self._datagram[:length]
        self._copied(self._adapter.read(address, datagram))
        kind, _, record_length, tag = HEADER.unpack_from(datagram)
        status = self._perform(kind, datagram, record_length)
        HEADER.pack_into(datagram, 0, kind, status, record_length, tag)
        self._copied(self._adapter.write(address, datagram[: HEADER.size]))
        return HEADER.size, tag

    @staticmethod
    def _copied(answer: Hcall) -> None:
        if answer is not Hcall.SUCCESS:
            raise BadDatagram(f"a datagram that can't be copied: {answer.name}")

    def _perform(self, type_: int, datagram: memoryview, length: int) -> MadStatus:
        kind = _KINDS.get(type_)
        if kind is None:
            _log.debug("management datagram 0x%02x is not supported", type_)
            return MadStatus.NOT_SUPPORTED
        if length not in kind.record_bytes:
            return MadStatus.FAILED
        record = self._record[:length]
        if kind.record_bytes is _NO_RECORD:
            return MadStatus.SUCCESS if kind.handler(self, record) else MadStatus.FAILED
        if len(datagram) < HEADER.size + BUFFER.size:
            return MadStatus.FAILED
        (address,) = BUFFER.unpack_from(datagram, HEADER.size)
        return MadStatus.SUCCESS if all(self._steps(kind, address, record)) else MadStatus.FAILED

    def _steps(self, kind: Kind, address: int, record: memoryview) -> Iterator[bool]:
        yield self._adapter.read(address, record) is Hcall.SUCCESS
        yield kind.handler(self, record)
        if kind.writes:
            yield self._adapter.write(address, record) is Hcall.SUCCESS

    # ---- one by one ---------------------------------------------------------------------------------------------------

    def _adapter_info(self, record: memoryview) -> bool:
        self.partner = PartnerRecord.parse(record)
        record[:] = self._info
        return True

    def _capabilities(self, record: memoryview) -> bool:
        return records.answer_capabilities(record, self._name)

    def _error_log(self, record: memoryview) -> bool:
        """Show the first: a client could fill the log with the others."""
        self._error_logs += 1
        if self._error_logs == 1:
            _log.warning("the client reports an error: %s", record[:_LOGGED_BYTES].hex())
        return True

    def _enable_fast_fail(self, _: memoryview) -> bool:
        """A server that fails is gone here, and its clients hear of that at once: there is nothing to switch."""
        if self._logged_in():
            return False
        self.fast_fail = True
        return True


_NO_RECORD = range(0x10000)
_KINDS: dict[int, Kind] = {
    MadType.ADAPTER_INFO: Kind(
        MadService._adapter_info, range(records.ADAPTER_INFO_BYTES, records.ADAPTER_INFO_BYTES + 1), writes=True
    ),
    MadType.CAPABILITIES: Kind(
        MadService._capabilities,
        range(records.CAPABILITIES_BYTES_MIN, records.CAPABILITIES_BYTES_MAX + 1),
        writes=True,
    ),
    MadType.ERROR_LOG: Kind(MadService._error_log, range(1, records.CAPABILITIES_BYTES_MAX + 1), writes=False),
    MadType.ENABLE_FAST_FAIL: Kind(MadService._enable_fast_fail, _NO_RECORD, writes=False),
}
"""Empty information units and the host configuration are not supported, as other servers do not: nobody would use them."""
