"""Who the two ends of a virtual SCSI session are to the core."""

import hashlib
from typing import TYPE_CHECKING

from tgtcore_srp import identity

from tgtcore import Target, TargetPort
from tgtcore.scsi.transport_id import fixed_transport_id
from tgtcore_ibmvio.options import AdapterOptions, IbmvioTargetOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOL = identity.PROTOCOL


def own_options(target: Target) -> IbmvioTargetOptions:
    """The transport's options of a target."""
    assert isinstance(target.options, IbmvioTargetOptions)
    return target.options


def client_transport_id(partition: int, unit_address: int) -> bytes:
    """The TransportID of a client: of its partition and of our adapter, which are the same at every login.

    What a client calls itself in its login is mostly zero, and anybody could call himself anything.
    """
    return fixed_transport_id(PROTOCOL, partition.to_bytes(8, "big") + unit_address.to_bytes(8, "big"))


def target_port(target: Target, adapter: AdapterOptions) -> TargetPort:
    """The target port that an adapter is to its target."""
    extension = hashlib.sha256(target.name.encode()).digest()[:8]
    relative_id = 1 + next(i for i, name in enumerate(own_options(target).adapters) if adapter.has(name))
    return identity.target_port(extension + bytes.fromhex(adapter.address).rjust(8, b"\0"), relative_id, adapter.group)


def target_ports(target: Target, adapters: "Sequence[AdapterOptions]") -> list[TargetPort]:
    """The target ports of those adapters that lead to a target."""
    names = own_options(target).adapters
    return [target_port(target, adapter) for adapter in adapters if any(map(adapter.has, names))]
