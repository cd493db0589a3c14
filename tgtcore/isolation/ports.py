"""The ports that a driver may name: their words come into logs, reservations and the answers to commands."""

from collections.abc import Collection

from tgtcore.errors import RingError
from tgtcore.isolation.orders import printable
from tgtcore.limits import NAME_BYTES_MAX, TRANSPORT_ID_BYTES_MAX
from tgtcore.nexus import InitiatorPort, TargetPort

_TEXT_MAX = 200
_PORT_NAME_BYTES_MAX = NAME_BYTES_MAX + len(",t,0x0001")
"""RFC 7143 4.2.7.1: iSCSI has the longest names."""
PROTOCOL_MAX = 0x0F
"""SPC-5 table 477: PROTOCOL IDENTIFIER has four bits."""


def checked_initiator(port: InitiatorPort) -> InitiatorPort:
    """An initiator port, before the core has it.

    :raises RingError: there can be none such.
    """
    name, address = _length(port.name), _length(port.address)
    if not (0 < name <= NAME_BYTES_MAX and address <= NAME_BYTES_MAX and (port.name + port.address).isprintable()):
        raise RingError(f"an initiator port with a name of {name} and an address of {address} bytes can't be")
    if not 0 < len(port.transport_id) <= TRANSPORT_ID_BYTES_MAX:
        raise RingError(f"a TransportID of {len(port.transport_id)} bytes, expected at most {TRANSPORT_ID_BYTES_MAX}")
    return port


def checked_target_port(port: TargetPort) -> TargetPort:
    """A target port, before the core has it.

    :raises RingError: there can be none such.
    """
    numbers = 1 <= port.relative_id <= 0xFFFF and 1 <= port.group <= 0xFFFF and 0 <= port.protocol <= PROTOCOL_MAX
    if not numbers or not 0 < _length(port.name) <= _PORT_NAME_BYTES_MAX or not port.name.isprintable():
        raise RingError(
            f"there can be no target port with the numbers and the name of {printable(str(port))[:_TEXT_MAX]}"
        )
    return port


def checked_target_ports(ports: Collection[TargetPort]) -> list[TargetPort]:
    """All ports of a target, before the core has them.

    :raises RingError: there can be none such.
    """
    if len({port.relative_id for port in ports}) < len(ports):
        raise RingError("two ports of a target can't have the same relative target port identifier")
    return [checked_target_port(port) for port in ports]


def _length(text: str) -> int:
    """In UTF-8; there is no byte for what can't be written in it, and it is not printable."""
    return len(text.encode("utf-8", "replace"))
