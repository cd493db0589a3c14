"""INQUIRY: standard data and vital product data pages (SPC-5 6.7, 7.7)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import invalid_cdb_field
from tgtcore.device.target_port_groups import ports_of
from tgtcore.errors import ConfigError
from tgtcore.scsi import designators
from tgtcore.scsi.inquiry import StandardInquiry, VersionDescriptor
from tgtcore.scsi.vpd import (
    ExtendedInquiry,
    Page,
    Port,
    port_designators,
    scsi_ports,
    supported_pages,
    unit_serial_number,
    vpd_page,
)
from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.nexus import TargetPort

VpdPage = Callable[[Task], bytes]
"""Makes a page's bytes after its header, for the nexus of a task."""

USAGE = "12 01 FF FF FF 00"
_EVPD = 0x01
_IMPLICIT_TARGET_PORT_GROUPS = 1
_PROTOCOL_VERSIONS = {0x4: VersionDescriptor.SRP, 0x5: VersionDescriptor.ISCSI}


class InquiryCommands(DeviceType):
    """INQUIRY with the pages 00h, 80h, 83h, 86h and 88h; device types add theirs, plugins too."""

    versions: ClassVar[tuple[int, ...]] = ()
    """Version descriptors of the device type's own standards."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        try:
            self.standard_inquiry().encode()
            unit_serial_number(self.lu.identity.serial)
        except ValueError as error:
            raise ConfigError(f"{self.lu}: {error}") from None

    def standard_inquiry(self) -> StandardInquiry:
        """The standard INQUIRY data without version descriptors, as if there were one target port."""
        identity = self.lu.identity
        return StandardInquiry(
            device_type=self.code,
            vendor=identity.vendor,
            product=identity.product,
            revision=identity.revision,
            target_port_groups=_IMPLICIT_TARGET_PORT_GROUPS,
        )

    def vpd_pages(self) -> dict[int, VpdPage]:
        """The VPD pages of this device, by page code; device types extend what ``super()`` gives."""
        return {
            Page.UNIT_SERIAL_NUMBER: lambda task: unit_serial_number(self.lu.identity.serial),
            Page.DEVICE_IDENTIFICATION: self._identification,
            Page.EXTENDED_INQUIRY_DATA: lambda task: self.extended_inquiry().encode(),
            Page.SCSI_PORTS: lambda task: scsi_ports([_port(port) for port in ports_of(task.nexus)]),
        }

    def extended_inquiry(self) -> ExtendedInquiry:
        """What page 86h says."""
        return ExtendedInquiry(unit_attention_sense=False)

    def _identification(self, task: Task) -> bytes:
        identity, port = self.lu.identity, task.nexus.target_port
        return b"".join(
            (
                designators.naa_locally_assigned(identity.unique_id),
                designators.t10_vendor_id(identity.vendor, identity.serial),
                designators.uuid_designator(identity.unique_id),
                port_designators(_port(port)),
                designators.target_port_group(port.group, port.protocol),
            )
        )

    @command(0x12, USAGE, passes_attention=True)
    def inquiry(self, task: Task) -> None:
        """INQUIRY."""
        cdb = task.cdb
        data = self._vpd(task, cdb[2]) if cdb[1] & _EVPD else self._standard(task, cdb[2])
        task.data_in = data[: int.from_bytes(cdb[3:5], "big")]

    def _standard(self, task: Task, page: int) -> bytes:
        if page:
            raise invalid_cdb_field(2)
        protocol = _PROTOCOL_VERSIONS.get(task.nexus.target_port.protocol)
        versions = (VersionDescriptor.SAM_5, *([protocol] if protocol else []), VersionDescriptor.SPC_4, *self.versions)
        several = len(ports_of(task.nexus)) > 1
        return replace(self.standard_inquiry(), versions=versions, several_ports=several).encode()

    def _vpd(self, task: Task, code: int) -> bytes:
        pages = self.vpd_pages()
        extra: Mapping[int, bytes] = self.lu.extra_vpd_pages(task.nexus.target.transport)
        if code == Page.SUPPORTED_PAGES:
            body = supported_pages({*pages, *extra})
        elif code in extra:
            body = extra[code]
        elif code in pages:
            body = pages[code](task)
        else:
            raise invalid_cdb_field(2)
        return vpd_page(code, body, device_type=self.code)


def _port(port: "TargetPort") -> Port:
    return Port(port.relative_id, port.name, port.protocol)
