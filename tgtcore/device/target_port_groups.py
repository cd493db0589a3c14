"""REPORT TARGET PORT GROUPS (SPC-5 6.37): every path is active and optimized."""

from collections import defaultdict
from typing import TYPE_CHECKING

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import invalid_cdb_field
from tgtcore.scsi.target_port_groups import TargetPortGroup, target_port_groups_data
from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.nexus import Nexus, TargetPort

_FORMAT_MAX = 1


class TargetPortGroupCommands(DeviceType):
    """REPORT TARGET PORT GROUPS."""

    @command(0xA3, "A3 EA 00 00 00 00 FF FF FF FF 00 00", service_action=0x0A)
    def report_target_port_groups(self, task: Task) -> None:
        """REPORT TARGET PORT GROUPS, with the plain or the extended header."""
        header = task.cdb[1] >> 5
        if header > _FORMAT_MAX:
            raise invalid_cdb_field(1, 7)
        members: dict[int, list[int]] = defaultdict(list)
        for port in ports_of(task.nexus):
            members[port.group].append(port.relative_id)
        groups = [TargetPortGroup(number, ports) for number, ports in sorted(members.items())]
        data = target_port_groups_data(groups, extended=header == _FORMAT_MAX)
        task.data_in = data[: int.from_bytes(task.cdb[6:10], "big")]


def ports_of(nexus: "Nexus") -> "list[TargetPort]":
    """The ports of the target, in order, and in any case the one that the nexus came through."""
    ports = {port.relative_id: port for port in nexus.target.ports()}
    ports[nexus.target_port.relative_id] = nexus.target_port
    return [ports[number] for number in sorted(ports)]
