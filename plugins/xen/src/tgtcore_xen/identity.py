"""Who the two ends of a virtual HBA are to the core."""

import hashlib
from collections.abc import Sequence

from tgtcore_srp import identity

from tgtcore import InitiatorPort, Target, TargetPort
from tgtcore.scsi.transport_id import fixed_transport_id
from tgtcore_xen.guests import Guest
from tgtcore_xen.options import HbaOptions, XenTargetOptions

PROTOCOL = identity.PROTOCOL
"""SPC has no protocol identifier for Xen; reservations need one, and that of SRP has identifiers of the right kind."""

_RELATIVE_IDS = 65535


def own_options(target: Target) -> XenTargetOptions:
    """The transport's options of a target."""
    assert isinstance(target.options, XenTargetOptions)
    return target.options


def initiator_ports(guest: Guest, dev: int) -> list[InitiatorPort]:
    """The initiator port of a guest's HBA, by each name that an access list may have: its name, and its UUID.

    Its identity is the same whenever the guest starts, and wherever it migrates to, by its UUID.
    """
    transport_id = fixed_transport_id(PROTOCOL, _digest(f"{guest.uuid or guest}/{dev}", 16))
    names = dict.fromkeys(filter(None, (guest.called, guest.name, guest.uuid))) or {str(guest.domid): None}
    return [InitiatorPort(name, transport_id) for name in names]


def target_ports(target: Target, hbas: Sequence[HbaOptions]) -> list[TargetPort]:
    """The target ports of those HBAs that lead to a target.

    Their relative identifiers stay the same when others come and go, unless two would have the same.
    """
    ports: list[TargetPort] = []
    taken: set[int] = set()
    for hba in sorted(hbas, key=lambda hba: hba.address):
        if hba.target_name == target.name:
            relative_id = _relative_id(hba.address)
            while relative_id in taken:
                relative_id = relative_id % _RELATIVE_IDS + 1
            taken.add(relative_id)
            ports.append(identity.target_port(_port_id(target, hba), relative_id, hba.group))
    return ports


def target_port(target: Target, hba: HbaOptions, hbas: Sequence[HbaOptions]) -> TargetPort:
    """The target port that an HBA is to its target.

    :param hbas: all of them; it is among them, or was.
    """
    name = identity.name_of(_port_id(target, hba))
    return next(port for port in target_ports(target, list({*hbas, hba})) if port.name == name)


def _port_id(target: Target, hba: HbaOptions) -> bytes:
    return _digest(target.name, 8) + _digest(hba.address, 8)


def _relative_id(address: str) -> int:
    return int.from_bytes(_digest(address, 4), "big") % _RELATIVE_IDS + 1


def _digest(text: str, length: int) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:length]
