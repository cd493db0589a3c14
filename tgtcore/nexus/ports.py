"""The two ends of an I_T nexus."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InitiatorPort:
    """An initiator port.

    :param name: as people know it; for iSCSI the initiator name.
    :param transport_id: its TransportID (SPC-5 7.6.4): the identity that reservations remember, the same at every login.
    :param address: where it comes from, for access lists and for show; empty when the transport has no addresses.
    """

    name: str
    transport_id: bytes
    address: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class TargetPort:
    """A target port.

    :param name: its SCSI port name; for iSCSI ``<target name>,t,0x<portal group tag>``.
    :param relative_id: relative target port identifier, unique in the target, 1 to 65535.
    :param group: target port group, 1 to 65535 (asymmetric access; all groups are active/optimized today).
    :param protocol: protocol identifier (SPC-5 table 477), 5 for iSCSI.
    """

    name: str
    relative_id: int
    group: int
    protocol: int
