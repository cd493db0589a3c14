"""TransportIDs: the identity of an initiator port in reservations (SPC-5 7.6.4).

The functions return canonical bytes: two TransportIDs name the same initiator port exactly when their bytes are equal.
"""

from enum import IntEnum

from tgtcore.limits import NAME_BYTES_MAX
from tgtcore.scsi.parameters import ParameterError, need


class Protocol(IntEnum):
    """Protocol identifiers of the transports whose TransportIDs are understood (SPC-5 7.6.1)."""

    FIBRE_CHANNEL = 0x0
    SRP = 0x4
    ISCSI = 0x5
    SAS = 0x6


_BYTES_MIN = 24
_HEADER_BYTES = 4
_NAME_ONLY, _NAME_AND_ISID = 0x00, 0x40
"""FORMAT CODE of an iSCSI TransportID: the initiator's name alone, or its name and ISID."""
_SEPARATOR = b",i,0x"
_ISID_BYTES = 6
_FIXED_FIELDS = {Protocol.FIBRE_CHANNEL: slice(8, 16), Protocol.SRP: slice(8, 24), Protocol.SAS: slice(4, 12)}
"""Where the identifier lies in the 24 bytes of a TransportID of fixed length."""


def iscsi_transport_id(name: str, isid: bytes) -> bytes:
    """TransportID of an iSCSI initiator port: name and ISID (SPC-5 7.6.4.6, format 01b).

    iSCSI names are compared without regard to case (RFC 7143 4.2.7.2), so the name is put in lower case.

    :raises ValueError: the ISID has not 6 bytes.
    """
    if len(isid) != _ISID_BYTES:
        raise ValueError(f"ISID of {len(isid)} bytes, expected {_ISID_BYTES}")
    return _iscsi(_NAME_AND_ISID, name.lower().encode() + _SEPARATOR + isid.hex().encode())


def iscsi_name_transport_id(name: str) -> bytes:
    """TransportID of an iSCSI initiator, whichever of its ports (SPC-5 7.6.4.6, format 00b)."""
    return _iscsi(_NAME_ONLY, name.lower().encode())


def fixed_transport_id(protocol: Protocol, identifier: bytes) -> bytes:
    """TransportID of a Fibre Channel (N_Port_Name), SRP (initiator port identifier) or SAS (address) initiator port.

    :raises ValueError: the identifier has not the length that the protocol asks for.
    """
    place = _FIXED_FIELDS[protocol]
    if len(identifier) != place.stop - place.start:
        raise ValueError(f"{protocol.name} identifier of {len(identifier)} bytes, expected {place.stop - place.start}")
    data = bytearray(_BYTES_MIN)
    data[0] = protocol
    data[place] = identifier
    return bytes(data)


def parse_transport_id(data: bytes, at: int = 0) -> tuple[bytes, int]:
    """The TransportID that begins at offset ``at``, in canonical bytes, and the offset behind it.

    :raises ParameterError: it is cut, of an unknown protocol or format, or names nothing.
    """
    need(data, at + _BYTES_MIN, "a TransportID")
    try:
        protocol = Protocol(data[at] & 0x0F)
    except ValueError:
        raise ParameterError(f"protocol identifier {data[at] & 0x0F:X}h is not known", byte=at, bit=3) from None
    if protocol is Protocol.ISCSI:
        return _parse_iscsi(data, at)
    if data[at] & 0xC0:
        raise ParameterError(f"format code {data[at] >> 6} of a {protocol.name} TransportID", byte=at, bit=7)
    place = _FIXED_FIELDS[protocol]
    return fixed_transport_id(protocol, data[at + place.start : at + place.stop]), at + _BYTES_MIN


def protocol_of(transport_id: bytes) -> Protocol:
    """The protocol of a canonical TransportID."""
    return Protocol(transport_id[0] & 0x0F)


def is_name_only(transport_id: bytes) -> bool:
    """Whether a canonical TransportID means every port of an iSCSI initiator."""
    return transport_id[0] == _NAME_ONLY | Protocol.ISCSI


def iscsi_name_of(transport_id: bytes) -> str:
    """The initiator's name in a canonical iSCSI TransportID."""
    return transport_id[_HEADER_BYTES:].rstrip(b"\0").partition(_SEPARATOR)[0].decode()


def _iscsi(form: int, text: bytes) -> bytes:
    body = text + bytes(4 - len(text) % 4)
    body = body.ljust(_BYTES_MIN - _HEADER_BYTES, b"\0")
    return bytes((form | Protocol.ISCSI, 0)) + len(body).to_bytes(2, "big") + body


def _parse_iscsi(data: bytes, at: int) -> tuple[bytes, int]:
    form = data[at] & 0xC0
    if form not in (_NAME_ONLY, _NAME_AND_ISID):
        raise ParameterError(f"format code {form >> 6} of an iSCSI TransportID", byte=at, bit=7)
    length = int.from_bytes(data[at + 2 : at + _HEADER_BYTES], "big")
    if length < _BYTES_MIN - _HEADER_BYTES or length % 4:
        raise ParameterError(f"additional length {length}, expected a multiple of 4 from 20", byte=at + 2)
    start = at + _HEADER_BYTES
    end = start + length
    need(data, end, "an iSCSI TransportID")
    text = data[start:end].partition(b"\0")[0]
    raw_name, separator, digits = text.partition(_SEPARATOR)
    name = _name(raw_name, start)
    if form == _NAME_ONLY:
        if separator:
            raise ParameterError("an ISID behind the name, which format code 0 has not", byte=start + len(raw_name))
        return iscsi_name_transport_id(name), end
    if not separator:
        raise ParameterError("no separator ',i,0x' behind the name", byte=start)
    return iscsi_transport_id(name, _isid(digits, start + len(raw_name) + len(separator))), end


def _name(raw: bytes, at: int) -> str:
    if not raw or len(raw) > NAME_BYTES_MAX:
        raise ParameterError(f"iSCSI name of {len(raw)} bytes, expected 1 to {NAME_BYTES_MAX}", byte=at)
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise ParameterError("iSCSI name is not UTF-8", byte=at + error.start) from None
    if len(name.lower().encode()) > NAME_BYTES_MAX or _SEPARATOR.decode() in name.lower():
        raise ParameterError("iSCSI name is not in its normal form", byte=at)
    return name


def _isid(digits: bytes, at: int) -> bytes:
    if not 1 <= len(digits) <= 2 * _ISID_BYTES or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise ParameterError(f"ISID of {len(digits)} characters, expected 1 to 12 hexadecimal digits", byte=at)
    return int(digits, 16).to_bytes(_ISID_BYTES, "big")
