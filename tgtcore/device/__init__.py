"""Device types: what a logical unit is, as a class whose body is its opcode table."""

from tgtcore.device.command import BoundCommand, Command, CommandTable, command
from tgtcore.device.contract import DeviceType
from tgtcore.device.inquiry import VpdPage
from tgtcore.device.log import LogPage
from tgtcore.device.refusals import (
    invalid_cdb_field,
    invalid_parameter,
    out_of_range,
    parameter_list_length_error,
    write_protected,
)
from tgtcore.device.shared import SharedCommands

__all__ = [
    "BoundCommand",
    "Command",
    "CommandTable",
    "DeviceType",
    "LogPage",
    "SharedCommands",
    "VpdPage",
    "command",
    "invalid_cdb_field",
    "invalid_parameter",
    "out_of_range",
    "parameter_list_length_error",
    "write_protected",
]
