"""One connection, sans-I/O: received bytes are cut into PDUs and checked; what is to be sent waits in ``outbound``.

The socket's owner receives into :attr:`Connection.inbound`, calls :meth:`received`, and sends ``outbound`` whenever it was told
that there is something.  A broken peer ends its own connection and nothing else.
"""

import logging
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from tgtcore import Region
from tgtcore_iscsi.digest import data_digest, digest, digest_matches
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.inbound import Inbound
from tgtcore_iscsi.limits import (
    BHS_BYTES,
    CONNECTION_BYTES_LOW,
    DIGEST_BYTES,
    LOGIN_DATA_SEGMENT_BYTES_MAX,
    OUTBOUND_BYTES_HIGH,
)
from tgtcore_iscsi.memory import Memory
from tgtcore_iscsi.pdu.codes import RejectReason

if TYPE_CHECKING:
    from tgtcore_iscsi.phase import SessionPhase
    from tgtcore_iscsi.session import Session

_log = logging.getLogger(__name__)

Outbound = bytes | bytearray | memoryview | Region

_lengths = Struct(">I").unpack_from
_LENGTHS_AT = 4
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_LOGIN_BUFFER_BYTES = 1024
_GROWN_BUFFER_BYTES_MIN = 16 * 1024


class Phase(Protocol):
    """What a connection is doing: logging in, or the full feature phase."""

    def request(self, buffer: bytearray, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Handle one PDU whose digests are right."""


class SessionServices(Protocol):
    """What a connection needs from the transport beyond its own session."""

    def cold_reset(self, session: "Session") -> None:
        """TARGET COLD RESET was performed: every session with the target must end."""


class Connection:
    """One TCP connection's protocol state.

    :param peer: the initiator's address, for messages.
    :param services: the transport.
    :param wake: called when ``outbound`` was empty and is no longer, or when the connection wants to be closed.
    :param memory: what it shares with others; None: nothing.
    """

    def __init__(
        self, peer: str, services: SessionServices, wake: Callable[[], None], memory: Memory | None = None
    ) -> None:
        self.peer = peer
        self.services = services
        self.inbound = Inbound(_LOGIN_BUFFER_BYTES)
        self.outbound: deque[Outbound] = deque()
        self.outbound_bytes = 0
        self.outbound_regions = 0
        self.phase: Phase | None = None
        self.session_phase: SessionPhase | None = None
        """The phase once the login has succeeded."""
        self.closing = ""
        """Why the connection ends as soon as everything is sent; empty while it lives."""
        self.memory = memory or Memory()
        self._told_bytes = 0
        self._gone = False
        self._wake = wake
        self._woken = False
        self._header_digest = False
        self._data_digest = False
        self._data_segment_max = LOGIN_DATA_SEGMENT_BYTES_MAX
        self._receive_bytes = _LOGIN_BUFFER_BYTES

    def __str__(self) -> str:
        return f"connection from {self.peer}"

    def enter_full_feature(self, phase: "SessionPhase") -> None:
        """The login has succeeded: from the next PDU on, other rules are in force."""
        parameters = phase.parameters
        self.phase = self.session_phase = phase
        self._header_digest = parameters.has_header_digest
        self._data_digest = parameters.has_data_digest
        self._data_segment_max = parameters.max_recv_data_segment_length
        self._receive_bytes = 2 * self._data_segment_max + BHS_BYTES

    # ---- receiving --------------------------------------------------------------------------------------------------

    @property
    def wants_input(self) -> bool:
        """Whether to read from the peer: not while it leaves too much of ours unread or has too much unfinished."""
        if self.closing or self.outbound_bytes > OUTBOUND_BYTES_HIGH:
            return False
        phase = self.session_phase
        return phase is None or phase.data_in_bytes <= CONNECTION_BYTES_LOW or phase.can_take_more

    def tell_memory(self) -> None:
        """Bring the common account up to date with what this connection holds; call it after each batch."""
        phase = self.session_phase
        held = (0 if self._gone else self.outbound_bytes) + (0 if phase is None else phase.held_bytes)
        self.memory.held_bytes += held - self._told_bytes
        self._told_bytes = held

    def gone(self) -> None:
        """The socket is closed: what was to be sent is dropped.  What unfinished commands hold is held until they end."""
        self._gone = True
        self.outbound.clear()
        self.tell_memory()

    def received(self, count: int) -> None:
        """``count`` bytes were put into ``inbound.space()``; handle every complete PDU."""
        self.inbound.received(count)
        self.parse()

    def parse(self) -> None:
        """Handle the complete PDUs that are there, as long as input is wanted."""
        inbound = self.inbound
        if inbound.end == inbound.capacity < self._receive_bytes:  # the peer sends more than there is room for
            inbound.grow(min(max(_GROWN_BUFFER_BYTES_MIN, 4 * inbound.capacity), self._receive_bytes))
        at = inbound.start
        try:
            while inbound.end - at >= BHS_BYTES and self.wants_input:
                buffer = inbound.buffer
                lengths = _lengths(buffer, at + _LENGTHS_AT)[0]
                data_length = lengths & 0xFFFFFF
                ahs_length = (lengths >> 24) * 4
                data_at = at + BHS_BYTES + ahs_length
                if self._header_digest:
                    if inbound.end < data_at + DIGEST_BYTES:
                        inbound.consumed(at)
                        inbound.need(data_at + DIGEST_BYTES - at)
                        return
                    self._check_header(buffer, at, data_at)
                    data_at += DIGEST_BYTES
                if data_length > self._data_segment_max:
                    raise RemoteProtocolError(
                        f"data segment of {data_length} bytes, at most {self._data_segment_max} were agreed",
                        reason=RejectReason.INVALID_PDU_FIELD,
                    )
                end = data_at
                if data_length:
                    end += (data_length + 3) & ~3
                    if self._data_digest:
                        end += DIGEST_BYTES
                if inbound.end < end:
                    inbound.consumed(at)
                    inbound.need(end - at)
                    return
                if data_length and self._data_digest:
                    self._check_data(buffer, data_at, end - DIGEST_BYTES)
                phase = self.phase
                assert phase is not None
                phase.request(buffer, at, data_at, data_length, ahs_length)
                at = end
            inbound.consumed(at)
        except RemoteProtocolError as error:
            self._broken(error, bytes(inbound.buffer[at : at + BHS_BYTES]))
        except Exception:  # a defect of ours: it costs this connection, and the nexus ends whatever was left half done
            _log.exception(
                "%s ends because of a defect; the PDU was %s", self, inbound.buffer[at : at + BHS_BYTES].hex()
            )
            self.close_when_sent("an internal error")

    def has_complete_pdu(self) -> bool:
        """Whether :meth:`parse` would find something to do in what was received already."""
        inbound = self.inbound
        have = inbound.end - inbound.start
        if have < BHS_BYTES:
            return False
        lengths = _lengths(inbound.buffer, inbound.start + _LENGTHS_AT)[0]
        return have >= self._pdu_bytes(lengths)

    def _pdu_bytes(self, lengths: int) -> int:
        data_length = lengths & 0xFFFFFF
        total = BHS_BYTES + (lengths >> 24) * 4 + (DIGEST_BYTES if self._header_digest else 0)
        if data_length:
            total += ((data_length + 3) & ~3) + (DIGEST_BYTES if self._data_digest else 0)
        return total

    def _check_header(self, buffer: bytearray, at: int, end: int) -> None:
        if not digest_matches(buffer, end, memoryview(buffer)[at:end]):
            # the lengths in this header can't be believed, so the next PDU can't be found (RFC 7143 7.7)
            raise RemoteProtocolError("header digest error", reason=RejectReason.PROTOCOL_ERROR)

    def _check_data(self, buffer: bytearray, at: int, end: int) -> None:
        if not digest_matches(buffer, end, memoryview(buffer)[at:end]):
            raise RemoteProtocolError("data digest error", reason=RejectReason.DATA_DIGEST_ERROR)

    def _broken(self, error: RemoteProtocolError, header: bytes) -> None:
        _log.warning("%s: %s", self, error)
        phase = self.session_phase
        if phase is not None and not phase.closed:
            phase.reject(error, header)
        self.close_when_sent(str(error))

    # ---- sending ------------------------------------------------------------------------------------------------------

    def send(self, header: bytes, data: Outbound | None) -> None:
        """Queue one PDU; its padding and digests are added here."""
        outbound = self.outbound
        outbound.append(header)
        size = len(header)
        if self._header_digest:
            outbound.append(digest(header))
            size += DIGEST_BYTES
        if data is not None:
            length = len(data)
            outbound.append(data)
            if type(data) is Region:
                self.outbound_regions += 1
            size += length
            if length & 3:
                padding = _PADDING[length & 3]
                outbound.append(padding)
                size += len(padding)
            if self._data_digest:
                assert not isinstance(data, Region), "a region has no bytes to compute a digest of"
                outbound.append(data_digest((data,)))
                size += DIGEST_BYTES
        self.outbound_bytes += size
        if not self._woken:
            self._woken = True
            self._wake()

    def send_raw(self, data: bytes) -> None:
        """Queue bytes as they are: login responses, which have no digests."""
        self.outbound.append(data)
        self.outbound_bytes += len(data)
        if not self._woken:
            self._woken = True
            self._wake()

    def sent(self, count: int) -> None:
        """The first ``count`` bytes of ``outbound`` are on their way."""
        outbound = self.outbound
        self.outbound_bytes -= count
        if not self.outbound_bytes:
            outbound.clear()
            self.outbound_regions = 0
            return
        while count:
            first = outbound[0]
            length = len(first)
            if isinstance(first, Region):
                if count < length:
                    outbound[0] = first.part(count, length - count)
                    return
                self.outbound_regions -= 1
            elif count < length:
                outbound[0] = memoryview(first)[count:]
                return
            count -= length
            outbound.popleft()

    def flushed(self) -> None:
        """``outbound`` was sent as far as the socket takes it; tell again when something is added."""
        self._woken = bool(self.outbound)

    def rouse(self) -> None:
        """Something has ended without anything to send: look again whether input is wanted."""
        if not self._woken:
            self._woken = True
            self._wake()

    def close_when_sent(self, why: str) -> None:
        """End the connection as soon as everything is sent."""
        if not self.closing:
            self.closing = why
            self._woken = True
            self._wake()
