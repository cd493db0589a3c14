"""TransportIDs: the identity of an initiator port in reservations (SPC-5 7.6.4)."""

_ISCSI = 0x05
_WITH_ISID = 0x40
"""FORMAT CODE 01b: the name is followed by the ISID."""


def iscsi_transport_id(name: str, isid: bytes) -> bytes:
    """TransportID of an iSCSI initiator port: name and ISID (SPC-5 7.6.4.6, format 01b).

    :raises ValueError: the ISID has not 6 bytes.
    """
    if len(isid) != 6:
        raise ValueError(f"ISID of {len(isid)} bytes, expected 6")
    text = f"{name},i,0x{isid.hex()}".encode() + b"\0"
    body = text.ljust(max(20, (len(text) + 3) & ~3), b"\0")
    return bytes((_WITH_ISID | _ISCSI, 0)) + len(body).to_bytes(2, "big") + body
