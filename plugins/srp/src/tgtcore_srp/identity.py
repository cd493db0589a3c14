"""The two ends of an SRP session as the core knows them."""

from tgtcore import InitiatorPort, TargetPort
from tgtcore.scsi.transport_id import Protocol, fixed_transport_id

PROTOCOL = Protocol.SRP
"""Protocol identifier of SRP (SPC-5 table 477)."""


def name_of(port_id: bytes) -> str:
    """A port identifier as people write it: ``0x`` and 32 hexadecimal digits."""
    return f"0x{port_id.hex()}"


def initiator_port(port_id: bytes, address: str = "") -> InitiatorPort:
    """The initiator port of a login.

    :param address: where it comes from, for access lists and for show.
    """
    return InitiatorPort(name_of(port_id), fixed_transport_id(PROTOCOL, port_id), address)


def target_port(port_id: bytes, relative_id: int, group: int = 1) -> TargetPort:
    """A target port with an identifier.

    :param relative_id: relative target port identifier, 1 to 65535.
    """
    return TargetPort(name_of(port_id), relative_id, group, PROTOCOL)
