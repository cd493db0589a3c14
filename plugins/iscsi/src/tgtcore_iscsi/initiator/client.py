"""A small blocking initiator: log in, run one command after the other, log out.  For tests, demonstrations and tools."""

import contextlib
import socket
from dataclasses import dataclass
from itertools import count

from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.digest import padded
from tgtcore_iscsi.initiator.pdu import (
    Response,
    data_out,
    login_request,
    login_status,
    logout_request,
    parse_response,
    scsi_command,
)
from tgtcore_iscsi.pdu.codes import DATA_IN_STATUS, FINAL, LoginStatus, Opcode
from tgtcore_iscsi.text import encode_pairs

_SECURITY_TO_OPERATIONAL = 0x81
_OPERATIONAL_TO_FULL_FEATURE = 0x87
_READ, _WRITE, _SIMPLE = 0x40, 0x20, 0x01
_SEGMENT_BYTES = 262144


class LoginRefused(Exception):
    """The target does not admit us; the message names its status."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    :param sense: sense data as sent, empty without an error.
    """

    status: int
    data: bytes = b""
    sense: bytes = b""


class Client:
    """One session with one target, without authentication.

    :param timeout_s: of every single step.
    :raises LoginRefused: the target refuses.
    :raises OSError: it can't be reached.
    """

    def __init__(self, address: Address, target: str, initiator: str, *, timeout_s: float = 10) -> None:
        self._socket = socket.create_connection(address, timeout_s)
        self._tags = count(1)
        self._cmd_sn = 1
        self._exp_stat_sn = 0
        try:
            self._login(target, initiator)
        except BaseException:
            self.abort()
            raise

    def execute(self, cdb: bytes, *, out: bytes = b"", room: int = 0, lun: int = 0) -> Outcome:
        """Run a command to its end; ``out`` is its data-out, ``room`` how many bytes of data-in are expected."""
        tag, request = self._command(cdb, out, room, lun, _SEGMENT_BYTES)
        self._socket.sendall(request)
        data = bytearray(room)
        while True:
            response = self._receive()
            fields = response.fields
            if response.opcode is Opcode.R2T:
                self._send_burst(tag, out, fields.ttt, fields.buffer_offset, fields.desired_length)
            elif response.opcode is Opcode.DATA_IN:
                data[fields.buffer_offset : fields.buffer_offset + len(response.data)] = response.data
                if fields.flags & DATA_IN_STATUS:
                    return Outcome(fields.status, bytes(data))
            elif response.opcode is Opcode.SCSI_RESPONSE:
                return Outcome(fields.status, bytes(data) if not fields.status else b"", response.data[2:])

    def close(self) -> None:
        """Log out and close the connection."""
        try:
            self._socket.sendall(
                logout_request(0, itt=next(self._tags), cmd_sn=self._cmd_sn, exp_stat_sn=self._exp_stat_sn)
            )
            while self._receive().opcode is not Opcode.LOGOUT_RESPONSE:
                continue
        finally:
            self._socket.close()

    def abort(self) -> None:
        """Break the connection at once, even while another thread waits for an answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _command(self, cdb: bytes, out: bytes, room: int, lun: int, immediate: int) -> tuple[int, bytes]:
        """The task tag and the PDU of the next command.

        :param immediate: how many bytes of data-out may come with it.
        """
        tag = next(self._tags)
        request = scsi_command(
            cdb,
            flags=FINAL | _SIMPLE | (_WRITE if out else 0) | (_READ if room else 0),
            lun=lun << 48,
            itt=tag,
            expected_length=len(out) or room,
            cmd_sn=self._cmd_sn,
            exp_stat_sn=self._exp_stat_sn,
            data=out[:immediate],
        )
        self._cmd_sn += 1
        return tag, request

    def _login(self, target: str, initiator: str) -> None:
        names = [
            ("InitiatorName", initiator),
            ("SessionType", "Normal"),
            ("TargetName", target),
            ("AuthMethod", "None"),
        ]
        wishes = [
            ("HeaderDigest", "None"),
            ("DataDigest", "None"),
            ("InitialR2T", "Yes"),
            ("ImmediateData", "Yes"),
            ("MaxRecvDataSegmentLength", str(_SEGMENT_BYTES)),
            ("FirstBurstLength", str(_SEGMENT_BYTES)),
        ]
        for pairs, flags in ((names, _SECURITY_TO_OPERATIONAL), (wishes, _OPERATIONAL_TO_FULL_FEATURE)):
            self._socket.sendall(
                login_request(encode_pairs(pairs), flags=flags, cmd_sn=self._cmd_sn, exp_stat_sn=self._exp_stat_sn)
            )
            status = login_status(self._receive().fields)
            if status is not LoginStatus.SUCCESS:
                raise LoginRefused(f"target {target} refuses {initiator}: {status.name.lower().replace('_', ' ')}")

    def _send_burst(self, tag: int, out: bytes, ttt: int, start: int, length: int) -> None:
        end = start + length
        for data_sn, at in enumerate(range(start, end, _SEGMENT_BYTES)):
            piece = out[at : min(at + _SEGMENT_BYTES, end)]
            request = data_out(
                piece,
                flags=FINAL if at + len(piece) == end else 0,
                itt=tag,
                exp_stat_sn=self._exp_stat_sn,
                data_sn=data_sn,
                buffer_offset=at,
                ttt=ttt,
            )
            self._socket.sendall(request)

    def _receive(self) -> Response:
        header = self._read(48)
        response = parse_response(header + self._read(padded(int.from_bytes(header[5:8], "big"))))
        if response.opcode not in (Opcode.R2T, Opcode.NOP_IN) and hasattr(response.fields, "stat_sn"):
            self._exp_stat_sn = (response.fields.stat_sn + 1) & 0xFFFFFFFF
        return response

    def _read(self, length: int) -> bytes:
        """Exactly so many bytes: what follows them stays in the socket, for whoever reads on from there."""
        data = bytearray()
        while len(data) < length:
            piece = self._socket.recv(length - len(data))
            if not piece:
                raise ConnectionError("the target has closed the connection")
            data += piece
        return bytes(data)
