"""The two ends of an SRP session as the core knows them."""

from tgtcore import InitiatorPort, TargetPort

PROTOCOL = 4
"""Protocol identifier of SRP (SPC-5 table 477)."""

PORT_ID_BYTES = 16


def name_of(port_id: bytes) -> str:
    """A port identifier as people write it: ``0x`` and 32 hexadecimal digits."""
    return f"0x{port_id.hex()}"


def transport_id(initiator_port_id: bytes) -> bytes:
    """The TransportID of an initiator port (SPC-5 7.6.4.7): 24 bytes, the identifier at byte 8."""
    assert len(initiator_port_id) == PORT_ID_BYTES
    return bytes((PROTOCOL,)) + bytes(7) + initiator_port_id


def initiator_port(port_id: bytes, address: str = "") -> InitiatorPort:
    """The initiator port of a login.

    :param address: where it comes from, for access lists and for show.
    """
    return InitiatorPort(name_of(port_id), transport_id(port_id), address)


def target_port(port_id: bytes, relative_id: int, group: int = 1) -> TargetPort:
    """A target port with an identifier.

    :param relative_id: relative target port identifier, 1 to 65535.
    """
    return TargetPort(name_of(port_id), relative_id, group, PROTOCOL)
